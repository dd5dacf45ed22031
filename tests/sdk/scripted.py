"""A server that does what a test says: it answers, is silent, breaks off, or goes away."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from bench.rig.ports import free_port

Act = Callable[[socket.socket], bool]
"""What is done for one request. Returns False if the connection ends with it."""


class Request:
    """A request that came. `connection`: the number of its connection."""

    def __init__(self, connection: int, head: bytes, body: bytes) -> None:
        self.connection = connection
        first, *lines = head.decode().split("\r\n")
        self.method, self.target, _ = first.split(" ")
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ScriptedServer:
    """`script`: what is done for each request in its turn. The last act is done for all later ones.

    `requests`: those that came. `connections`: their number.
    """

    def __init__(self, *script: Act) -> None:
        self.script = list(script)
        self.requests: list[Request] = []
        self.port = free_port()
        self.connections = 0
        self._open: list[socket.socket] = []
        self._ends = threading.Event()
        self._lock = threading.Lock()
        self._listening: socket.socket | None = None

    def listen(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def close(self) -> None:
        """Close the port and all connections."""
        self._ends.set()
        if self._listening is not None:
            with suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                self._open.append(connection)
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError, EOFError), connection:
            reader = connection.makefile("rb")
            while True:
                head, body = _read(reader)
                with self._lock:
                    act = self.script[min(len(self.requests), len(self.script) - 1)]
                    self.requests.append(Request(number, head, body))
                if not act(connection):
                    return


def _read(reader: Any) -> tuple[bytes, bytes]:
    lines = []
    while (line := reader.readline()) != b"\r\n":
        if not line:
            raise EOFError
        lines.append(line.removesuffix(b"\r\n"))
    length = next((int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")), 0)
    return b"\r\n".join(lines), reader.read(length)


@contextmanager
def scripted(*script: Act) -> Iterator[ScriptedServer]:
    server = ScriptedServer(*script)
    server.listen()
    try:
        yield server
    finally:
        server.close()


PUSHED = {"identifier": "chat", "push_id": None, "position": 1764000000000000, "listeners": 0}


def answer(status: int = 200, value: Any = PUSHED, *, ends: bool = False, **headers: str) -> Act:
    """Answer with JSON, or with the bytes of `value`."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
    return raw("\r\n".join([*lines, "", ""]).encode() + body, ends=ends)


def refuse(status: int, code: str, **headers: str) -> Act:
    return answer(status, {"status": status, "title": "Title", "detail": f"Detail of {code}.", "code": code}, **headers)


def raw(data: bytes, *, ends: bool = False) -> Act:
    """Send these bytes, and end the connection behind them if it `ends`."""

    def act(connection: socket.socket) -> bool:
        connection.sendall(data)
        return not ends

    return act


def drip(data: bytes, seconds: float) -> Act:
    """Send a byte now and then, until the peer has gone."""

    def act(connection: socket.socket) -> bool:
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(seconds)
        return False

    return act


def hang_up(_connection: socket.socket) -> bool:
    return False


def silent(connection: socket.socket) -> bool:
    """Read on and answer nothing, until the peer has gone."""
    with suppress(OSError):
        while connection.recv(1 << 16):
            pass
    return False


HALF = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n" + json.dumps(PUSHED).encode()[:40], ends=True)
"""An answer that breaks off."""
HALF_HEAD = raw(b"HTTP/1.1 200 OK\r\nContent-Le", ends=True)
HALF_CHUNK = raw(
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5a\r\n" + json.dumps(PUSHED).encode()[:40], ends=True
)
HALF_UNTIL_CLOSED = raw(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(PUSHED).encode()[:40], ends=True)
NO_HTTP = raw(b"220 mail.example.org ESMTP\r\n", ends=True)
