"""The configurations in deploy/, with addresses and ports put in and nothing else, before real nodes."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Redis, Server, assert_clean, free_ports
from tests.wire import (
    API_KEY,
    DEFLATE,
    FORM,
    Client,
    Closed,
    Connection,
    Stream,
    eventually,
    form,
    request_bytes,
    secure,
)

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
        user = "user root; " if os.getuid() == 0 else ""  # for the folder of the test is nobody else's
        directives = f"{user}daemon off; pid {self.folder}/pid; error_log stderr;"
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


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Balancer]]:
    """Start balancers: before("nginx", (port, health), (port, health))."""
    started: list[Balancer] = []

    def start(name: str, *nodes: tuple[int, int]) -> Balancer:
        started.append(Balancer(name, tmp_path_factory.mktemp(name), list(nodes)))
        return started[-1].start()

    yield start
    for balancer in started:
        balancer.stop()


@pytest.fixture(scope="module")
def nodes(redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two nodes of one service."""
    options = {"redis": redis.url, "trusted_proxies": ["127.0.0.1"]}
    servers = [Server(tmp_path_factory.mktemp("node"), options, {"listeners_per_ip": 30}).start() for _ in range(2)]
    yield servers
    for server in servers:
        server.stop()
        assert_clean(server.log.read_text())


@pytest.fixture(scope="module", params=NAMES)
def balanced(request: pytest.FixtureRequest, nodes: list[Server], before: Callable[..., Balancer]) -> Balancer:
    """A balancer before both."""
    return before(request.param, *[(node.port, node.admin_port) for node in nodes])


# What passes through.


def test_pushes_reach_listeners_on_every_transport_as_they_come(balanced, nodes):
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(one)
            for _ in range(4)
            for one in (
                balanced.websocket("identifiers=passes", headers=DEFLATE),
                balanced.stream("identifiers=passes"),
                balanced.stream("identifiers=passes", path="events"),
                balanced.stream(path="stream", body=b'{"type":"listen","groups":[{"identifiers":["passes"]}]}'),
            )
        ]
        for listener in listeners:
            listener.joined()
        here = [joined(node) for node in nodes]
        assert sum(here) >= 16
        assert min(here) > 0, "they are on both nodes"
        took = []
        for number in range(5):
            began = time.monotonic()
            answer = push(balanced, "passes", f"push {number}")
            assert answer.status == 200
            for listener in listeners:
                assert listener.texts(1) == [f"push {number}"]
            took.append(time.monotonic() - began)
        assert min(took) < 0.15, "somebody holds back what has come"
        answer = push(balanced, "passes", "%" * 65_536)  # each is three bytes in a form
        assert answer.status == 200
        for listener in listeners:
            assert listener.texts(1) == ["%" * 65_536]


def joined(node: Server) -> float:
    """How many listeners a node has."""
    text = node.request("GET", "/metrics", port=node.admin_port).body.decode()
    return sum(map(float, re.findall(r"^cometify_listeners\{.*\} (\S+)", text, re.MULTILINE)))


def test_a_poll_waits_for_its_push(balanced):
    position = balanced.poll(query="identifiers=waits").frames[-1]["position"]
    with Connection(balanced.port) as poll:
        poll.send(request_bytes("GET", f"/{API_KEY}/poll?identifiers=waits&position={position}"))
        eventually(lambda: push(balanced, "waits", "now").json["listeners"] in (0, 1))
        assert [frame.get("text") for frame in poll.answer().frames][:1] == ["now"]


def test_each_visitor_is_counted_by_the_own_address_and_cannot_choose_it(balanced):
    target = f"/{API_KEY}/stream?identifiers=counted"
    with ExitStack() as stack:

        def listen(source: str, headers: dict[str, str] | None = None) -> Stream:
            return stack.enter_context(Stream(balanced.port, target, headers, source=source))

        assert [listen("127.0.0.5").status for _ in range(30)] == [200] * 30
        assert listen("127.0.0.5").status == 429
        assert listen("127.0.0.5", {"X-Forwarded-For": "192.0.2.7"}).status == 429
        assert listen("127.0.0.6").status == 200


# Nodes that die.


class Follower(threading.Thread):
    """A listener that comes back until it has `count` pushes. `texts`: what it got, over all its connections."""

    def __init__(self, client: Client, transport: str, number: int, count: int) -> None:
        super().__init__()
        self.joined = threading.Event()
        self.texts: list[str] = []
        self.positions: list[int] = []
        self.connections = 0
        self.gaps = 0
        self._client = client
        self._transport = transport
        self._query = f"identifiers=followed&listener=follower{number:04}"
        self._count = count
        self._until = time.monotonic() + 60
        self._position = 0

    def run(self) -> None:
        while len(self.texts) < self._count and time.monotonic() < self._until:
            with suppress(EOFError, OSError, Closed, ValueError, KeyError):
                self._connect()

    def _connect(self) -> None:
        query = self._query + (f"&position={self._position}" if self._position else "")
        if self._transport == "poll":
            answer = self._client.poll(query=query)
            for frame in answer.frames if answer.status == 200 else ():
                self._take(frame)
            return
        open_it = self._client.websocket if self._transport == "websocket" else self._client.stream
        more = {} if self._transport == "websocket" else {"path": self._transport}
        with open_it(query, **more) as listener:
            self.connections += 1
            while len(self.texts) < self._count:
                self._take(listener.frame())

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "ready" and not self._position:
            (self._position,) = frame["positions"]
        elif frame["type"] == "push":
            self.texts.append(frame["text"])
            self.positions.append(frame["position"])
            self._position = frame["position"]
        elif frame["type"] == "heartbeat":
            self._position = frame["position"]
            self.joined.set()
        self.gaps += frame["type"] == "gap"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_push_is_lost_or_doubled_when_a_node_goes(balanced, nodes, how):
    count = 80
    followers = [
        Follower(balanced, transport, number, count)
        for number, transport in enumerate(("websocket", "stream", "events", "poll") * 3)
    ]
    for follower in followers:
        follower.start()
    try:
        for follower in followers:
            assert follower.joined.wait(10)
        pushed: dict[str, int] = {}
        for number in range(count):
            if number == count // 3:
                victim = max(nodes, key=joined)
                os.kill(victim.pid, how)
            text = f"{how.name} {number}"
            pushed[text] = pushed_at_last(balanced, text)
    finally:
        for follower in followers:
            follower.join(60)
        assert victim.process is not None
        assert victim.process.wait(20) == -how
        victim.start()
    for follower in followers:
        assert follower.texts == sorted(pushed, key=pushed.__getitem__)
        assert follower.positions == sorted(pushed.values())
        assert follower.gaps == 0
    assert any(follower.connections > 1 for follower in followers)
    eventually(lambda: balanced.request("GET", "/openapi.json").status == 200)


def pushed_at_last(client: Client, text: str) -> int:
    """Push as often as it takes, with one Idempotency-Key; the position."""
    until = time.monotonic() + 20
    while True:
        with suppress(OSError, EOFError):
            answer = push(client, "followed", text, **{"Idempotency-Key": text.replace(" ", "-")})
            if answer.status == 200:
                return answer.json["position"]
            assert answer.status in (502, 503, 504), answer
        assert time.monotonic() < until


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


def push(client: Client, identifier: str, text: str, **headers: str) -> Any:
    body = form({"secret": "0", "secure": secure(identifier, text), "text": text})
    return client.request("POST", f"/{API_KEY}/push/{identifier}", body, {**FORM, **headers})


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
                answer = push(balancer, "chat", text, **{name: f"{value} {number}" for name, value in headers.items()})
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
    for answer in (push(balancer, "chat", "x"), balancer.poll(query="identifiers=chat")):
        assert answer.status in (502, 503)
        assert answer.json["code"] == "engine_unavailable"
        assert answer.json["status"] == answer.status
        assert answer.headers["access-control-allow-origin"] == "*"
        assert int(answer.headers["retry-after"]) > 0
