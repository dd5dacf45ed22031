"""The configurations in deploy/, with addresses and ports put in and nothing else, before real nodes."""

import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Server, free_ports
from tests.wire import API_KEY, FORM, Client, eventually, form, secure

DEPLOY = Path(__file__).parents[2] / "deploy"
NAMES = ("nginx", "haproxy")


class Balancer(Client):
    """nginx or HAProxy, before two nodes: each the port of its HTTP endpoint and that of its health."""

    def __init__(self, name: str, folder: Path, nodes: list[tuple[int, int]]) -> None:
        super().__init__(*free_ports(1))
        self.folder = folder
        (self.folder / "temporary").mkdir(mode=0o777)
        self.command = getattr(self, f"_{name}")(nodes)
        self.process: subprocess.Popen[bytes] | None = None

    def _put(self, text: str, pattern: str, instead: str) -> str:
        text, count = re.subn(pattern, instead, text, flags=re.MULTILINE)
        assert count == 1, pattern
        return text

    def _nginx(self, nodes: list[tuple[int, int]]) -> list[str]:
        text = (DEPLOY / "nginx.conf").read_text()
        text = self._put(text, r"^( +listen) 80;", rf"\1 127.0.0.1:{self.port};")
        for number, (port, _health) in enumerate(nodes, 1):
            text = self._put(text, rf"server 10\.0\.0\.1{number}:8081 ", f"server 127.0.0.1:{port} ")
        paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # its own may be root's alone
        here = "".join(f"{path}_temp_path {self.folder}/temporary/{path};" for path in paths)
        text = self._put(text, r"^http \{", f"http {{ {here}")
        (self.folder / "nginx.conf").write_text(text)
        directives = f"daemon off; pid {self.folder}/pid; error_log stderr;"
        return ["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-g", directives]

    def _haproxy(self, nodes: list[tuple[int, int]]) -> list[str]:
        text = (DEPLOY / "haproxy.cfg").read_text()
        text = self._put(text, r"^( +bind) :80$", rf"\1 127.0.0.1:{self.port}")
        for number, (port, health) in enumerate(nodes, 1):
            text = self._put(
                text,
                rf"server node{number} 10\.0\.0\.1{number}:8081$",
                f"server node{number} 127.0.0.1:{port} port {health}",
            )
        (self.folder / "haproxy.cfg").write_text(text)
        return ["haproxy", "-db", "-f", str(self.folder / "haproxy.cfg")]

    def start(self) -> "Balancer":
        with (self.folder / "balancer.log").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT)
        eventually(self._serves)
        return self

    def _serves(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "balancer.log").read_text()
        with suppress(OSError):
            return self.request("GET", "/openapi.json").status == 200
        return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)


@pytest.fixture
def before(tmp_path: Path) -> Iterator[Callable[..., Balancer]]:
    """Start balancers: before("nginx", (port, health), (port, health))."""
    started: list[Balancer] = []

    def start(name: str, *nodes: tuple[int, int]) -> Balancer:
        folder = tmp_path / f"balancer{len(started)}"
        folder.mkdir()
        started.append(Balancer(name, folder, list(nodes)))
        return started[-1].start()

    yield start
    for balancer in started:
        balancer.stop()


class Dying:
    """A node that dies over each request: it has read it, whole, and does not answer."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _address = self._socket.accept()
            with connection:
                data = b""
                while not (data.endswith(b"end") or (b"GET" in data and data.endswith(b"\r\n\r\n"))):
                    more = connection.recv(1 << 16)
                    if not more:
                        break
                    data += more
                if data.startswith(b"STOP"):
                    return
            self.requests.append(data)

    def stop(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"STOPend")
        self._thread.join(10)
        self._socket.close()


@pytest.fixture
def dying() -> Iterator[Dying]:
    node = Dying()
    yield node
    node.stop()


def push(client: Client, text: str, **headers: str) -> Any:
    body = form({"secret": "0", "secure": secure("chat", text), "text": text})
    return client.request("POST", f"/{API_KEY}/push/chat", body, {**FORM, **headers})


@pytest.mark.parametrize("name", NAMES)
def test_a_push_that_a_node_may_have_pushed_is_sent_again_only_with_an_idempotency_key(
    make_server, before, dying, name
):
    server: Server = make_server()
    balancer = before(name, (dying.port, server.admin_port), (server.port, server.admin_port))
    with server.websocket("identifiers=chat") as listener:
        listener.joined()
        for headers in ({}, {"Idempotency-Key": "key"}):
            number, seen, until = 0, len(dying.requests), time.monotonic() + 10
            while len(dying.requests) == seen:  # nginx leaves a node alone for 2 s that has failed
                assert time.monotonic() < until, "no request came to the node that dies"
                number += 1
                text = f"{number} {len(headers)} end"
                answer = push(balancer, text, **{name: f"{value} {number}" for name, value in headers.items()})
                if answer.status == 200:
                    assert listener.texts(1) == [text]
            if headers:
                assert answer.status == 200
                continue
            assert answer.json["code"] == "engine_unavailable"
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
        assert all(b"POST" in request for request in dying.requests[seen:])
        server.pushed("chat", "and none came late")
        assert listener.texts(1) == ["and none came late"]


@pytest.mark.parametrize("name", NAMES)
def test_where_no_node_is_left_the_answer_is_one_that_clients_know(make_server, before, name):
    server: Server = make_server()
    balancer = before(name, (server.port, server.admin_port), (free_ports(1)[0], free_ports(1)[0]))
    server.stop()
    for answer in (push(balancer, "x"), balancer.poll(query="identifiers=chat")):
        assert answer.status in (502, 503)
        assert answer.json["code"] == "engine_unavailable"
        assert answer.json["status"] == answer.status
        assert answer.headers["access-control-allow-origin"] == "*"
        assert int(answer.headers["retry-after"]) > 0
