"""Proxies between a page and the server: one carries bytes, others cut connections at random or fall silent."""

import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from select import select

LINGER = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on a port of its own, with a thread for each connection. `carry` handles one connection: it passes all on."""

    def __init__(self, port: int) -> None:
        self.upstream = port
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._is_broken = False
        self._may_pass = threading.Event()
        self._may_pass.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._spawn(self._accept)

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        self.pass_on(client, server)

    @staticmethod
    def pass_on(client: socket.socket, server: socket.socket, seconds: float | None = None) -> None:
        """Pass bytes on, both ways, until one side ends, or for so many seconds."""
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            for one in select([client, server], [], [], left)[0]:
                data = one.recv(65536)
                if not data:
                    return
                (server if one is client else client).sendall(data)

    def _spawn(self, run: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._spawn(self._handle, client)

    def _handle(self, client: socket.socket) -> None:
        with client, socket.socket() as server, suppress(OSError):
            with self._lock:
                self._open |= {client, server}
            if self._is_broken:
                return
            self._may_pass.wait()
            server.connect(("127.0.0.1", self.upstream))
            self.carry(client, server)
        with self._lock:
            self._open -= {client, server}

    def cut(self) -> None:
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def break_off(self) -> None:
        """Cut all connections, and each new one too, until `restore`."""
        self._is_broken = True
        self.cut()

    def hold_back(self) -> None:
        """Pass nothing on from new connections until `restore`."""
        self._may_pass.clear()

    def restore(self) -> None:
        self._is_broken = False
        self._may_pass.set()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._may_pass.set()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_args: object) -> None:
        self.close()


class Cutting(Proxy):
    """Cuts each connection after a random number of bytes from the server, also amid a head or a frame. Chance says whether
    it is reset, so that the browser loses what it has not read yet as well, or just ends.
    """

    def __init__(self, port: int, seed: int, most: int) -> None:
        self._random = random.Random(seed)
        self._most = most
        self.cuts = 0
        self.cutting = True
        super().__init__(port)

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        left = self._random.randrange(self._most)
        while True:
            ready, _, _ = select([client, server], [], [])
            if client in ready:
                data = client.recv(65536)
                if not data:
                    return
                server.sendall(data)
            if server in ready:
                data = server.recv(left if self.cutting and 0 < left < 65536 else 65536)
                if not data:
                    return
                client.sendall(data)
                left -= len(data)
                if self.cutting and left <= 0:
                    self.cuts += 1
                    if self._random.random() < 0.5:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
                    return


class Stalling(Proxy):
    """Passes all on until it `stalls`: from then on nothing goes either way on the connections that there are, and none of
    them is closed. New ones are not concerned.
    """

    def __init__(self, port: int) -> None:
        self._stalled: set[socket.socket] = set()
        self._closing = threading.Event()
        super().__init__(port)

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            for one in select([client, server], [], [])[0]:
                with self._lock:
                    stalled = client in self._stalled
                if stalled:
                    self._closing.wait()
                    return
                data = one.recv(65536)
                if not data:
                    return
                (server if one is client else client).sendall(data)

    def stall(self) -> None:
        with self._lock:
            self._stalled |= self._open

    def close(self) -> None:
        self._closing.set()
        super().close()
