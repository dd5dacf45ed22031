"""What stands between a page and the server: proxies that refuse, buffer or cut."""

import random
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from select import select

LINGER = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on a port of its own, a thread for each connection. `carry` is what it does with one."""

    def __init__(self, port: int) -> None:
        self.upstream = port
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._spawn(self._accept)

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        raise NotImplementedError

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
            server.connect(("127.0.0.1", self.upstream))
            self.carry(client, server)
        with self._lock:
            self._open -= {client, server}

    def cut(self) -> None:
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_args: object) -> None:
        self.close()


class NoWebSocket(Proxy):
    """A proxy that knows no upgrades: it answers 400 to them. All else passes as it comes."""

    buffering = False

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.refused = 0

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            data = client.recv(65536)
            if not data:
                return
            request += data
        head, _, body = request.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if any(line.lower().startswith(b"upgrade:") for line in lines):
            self.refused += 1
            client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        # One request a connection, so that an answer is whole when the server closes.
        lines = [line for line in lines if not line.lower().startswith(b"connection:")]
        server.sendall(b"\r\n".join([*lines, b"Connection: close", b"", body]))
        answer = b""
        while True:
            ready, _, _ = select([client, server], [], [])
            if client in ready:
                data = client.recv(65536)
                if not data:
                    return
                server.sendall(data)
            if server in ready:
                data = server.recv(65536)
                if not data:
                    client.sendall(answer)
                    return
                if self.buffering:
                    answer += data
                else:
                    client.sendall(data)


class Buffering(NoWebSocket):
    """The same, and it hands an answer on only when it is whole: a stream says nothing until it ends."""

    buffering = True


class Turning(NoWebSocket):
    """Lets everything through, WebSockets too, until it `turns`: then it cuts them all, and knows no upgrades any more."""

    turned = False

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        if self.turned or b"upgrade: websocket" not in client.recv(65536, socket.MSG_PEEK).lower():
            super().carry(client, server)
            return
        while True:
            for one in select([client, server], [], [])[0]:
                data = one.recv(65536)
                if not data:
                    return
                (server if one is client else client).sendall(data)

    def turn(self) -> None:
        self.turned = True
        self.cut()


class Cutting(Proxy):
    """Resets each connection after a random number of bytes from the server, also amid a head or a frame."""

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
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
                    return
