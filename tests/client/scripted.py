"""A server on its own port that carries out a script, even a wrong answer."""

import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

from tests.wire import Connection

PUSHED = {"identifier": "chat", "push_id": None, "position": 1764000000000000, "listeners": 3}
"""The answer to a push."""


class Request:
    """A request as it came. `headers`: their names in lower case."""

    def __init__(self, head: str, body: bytes) -> None:
        first, *lines = head.split("\r\n")
        self.method, self.target, _version = first.split(" ")
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served(Connection):
    """The server's end of a connection. `requests`: those of all connections of the server."""

    def __init__(self, accepted: socket.socket, requests: list[Request]) -> None:
        self.socket = accepted
        self.socket.settimeout(20)
        self.buffer = b""
        self.requests = requests

    def request(self) -> Request:
        """Read a request. Raises EOFError at the end of the connection."""
        head = self.until(b"\r\n\r\n").decode()
        length = Request(head, b"").headers.get("content-length", "0")
        request = Request(head, self.exactly(int(length)))
        self.requests.append(request)
        return request

    def answer(self, status: int = 200, body: object = PUSHED, **headers: str) -> None:
        """Send a whole answer. `body`: bytes, or a JSON value."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode() + data)

    def drip(self, data: bytes, every: float = 0.05) -> None:
        """Send one byte at a time, until the client has had enough."""
        for number in range(len(data)):
            self.send(data[number : number + 1])
            time.sleep(every)


Script = Callable[[Served], object]


def answering(status: int = 200, body: object = PUSHED, **headers: str) -> Script:
    """Answer each request of a connection in the same way."""

    def script(served: Served) -> None:
        while True:
            served.request()
            served.answer(status, body, **headers)

    return script


def once(status: int = 200, body: object = PUSHED, **headers: str) -> Script:
    """Answer one request and close the connection."""

    def script(served: Served) -> None:
        served.request()
        served.answer(status, body, Connection="close", **headers)

    return script


def problem(code: str, detail: str = "Do this.") -> dict[str, str]:
    """A problem document."""
    return {"code": code, "detail": detail}


class ScriptedServer:
    """Carries out the first script on the first connection, and so on, and the last one on all further connections."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.requests: list[Request] = []
        self.connections: list[Served] = []
        self._threads: list[Thread] = []
        self._port = socket.create_server(("127.0.0.1", 0))
        self.port = self._port.getsockname()[1]
        self.url = f"http://37282591:dj28DNam!!nx72*@127.0.0.1:{self.port}"
        self._start(self._accept)

    def _start(self, target: Callable[..., object], *arguments: object) -> None:
        thread = Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _peer = self._port.accept()
                served = Served(accepted, self.requests)
                self.connections.append(served)
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                self._start(self._serve, script, served)

    @staticmethod
    def _serve(script: Script, served: Served) -> None:
        with served, suppress(OSError, EOFError):
            script(served)

    def close(self) -> None:
        with suppress(OSError):
            self._port.shutdown(socket.SHUT_RDWR)
        self._port.close()
        for served in self.connections:
            with suppress(OSError):
                served.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(20)
