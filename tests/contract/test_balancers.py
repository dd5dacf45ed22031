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

from bench.rig.balancers import DEPLOY, NAMES, BalancerFile, Upstream
from bench.rig.ports import free_ports
from cometify.config.settings import Settings
from cometify.runtime.supervisor import GRACE
from tests.certificates import make_certificate
from tests.conftest import PYTHONPATH, START_WITHIN, TWISTD, Redis, Server, assert_clean
from tests.contract.follower import Visitor, follow_and_push
from tests.lag import SchedulingLag, waited_for_cpu
from tests.wire import (
    API_KEY,
    API_SECRET,
    DEFLATE,
    FORM,
    Client,
    Connection,
    Stream,
    WebSocket,
    eventually,
    form,
    request_bytes,
    secure,
)

DRAIN = 2
"""Seconds that a node of the rolling restart takes to drain."""


class Forwarder:
    """Forwards one exchange after the other from an address to a port of 127.0.0.1, because Caddy asks the same port of all
    nodes for their health."""

    def __init__(self, address: tuple[str, int], port: int) -> None:
        self._port = port
        self._socket = socket.create_server(address)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _address = self._socket.accept()
            with connection, suppress(OSError):
                connection.settimeout(2)
                request = connection.recv(1 << 16)
                if not request:
                    return
                with socket.create_connection(("127.0.0.1", self._port), 2) as node:
                    node.sendall(request)
                    connection.sendall(node.recv(1 << 16))

    def stop(self) -> None:
        socket.create_connection(self._socket.getsockname()).close()
        self._thread.join(10)
        self._socket.close()


class Balancer(Client):
    """nginx, HAProxy or Caddy before two or more nodes, each given as the port of its HTTP endpoint and that of its health.

    The lines that the file shows for TLS are used too.
    """

    def __init__(self, name: str, folder: Path, nodes: list[tuple[int, int]]) -> None:
        port, self.tls_port = free_ports(2)
        super().__init__(port)
        self.name = name
        self.folder = folder
        self.tls = make_certificate(folder)
        self.forwarders: list[Forwarder] = []
        upstreams = [Upstream(*ports) for ports in nodes]
        if name == "caddy":
            (health,) = free_ports(1)
            upstreams = [Upstream(node.port, health, f"127.0.0.{n}") for n, node in enumerate(upstreams, 11)]
            self.forwarders = [Forwarder((f"127.0.0.{n}", health), ports[1]) for n, ports in enumerate(nodes, 11)]
        self.command = BalancerFile(name, folder, port, upstreams, self.tls_port).command
        self.process: subprocess.Popen[bytes] | None = None

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
        while self.forwarders:
            self.forwarders.pop().stop()


def reachable(make_server: Callable[..., Server], **options: Any) -> Server:
    """Start a node that has all addresses of the loopback, because Caddy tells nodes apart by their addresses."""
    (port,) = free_ports(1)
    server: Server = make_server(http=[f"tcp:{port}"], **options)
    server.port = port
    return server


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
    servers = []
    for proxied in free_ports(2):
        options = {"redis": redis.url, "trusted_proxies": ["127.0.0.1"], "drain": DRAIN}
        servers.append(Server(tmp_path_factory.mktemp("node"), options, {"listeners_per_ip": 30}))
        servers[-1].options["http"] = [f"tcp:{servers[-1].port}", f"haproxy:tcp:{proxied}:interface=127.0.0.1"]
        servers[-1].start()
    yield servers
    for server in servers:
        server.stop()
        assert_clean(server.log.read_text())


@pytest.fixture(scope="module", params=[*NAMES, "haproxy_proxied"])
def balanced(request: pytest.FixtureRequest, nodes: list[Server], before: Callable[..., Balancer]) -> Balancer:
    """A balancer before both, which have Redis (the test before may have taken it away)."""
    eventually(lambda: all(node.request("GET", "/health/ready", port=node.admin_port).status == 200 for node in nodes))
    if request.param == "haproxy_proxied":
        proxied = [int(node.options["http"][1].split(":")[2]) for node in nodes]
        return before(request.param, *[(port, node.admin_port) for port, node in zip(proxied, nodes, strict=True)])
    return before(request.param, *[(node.port, node.admin_port) for node in nodes])


# Everything that passes through.


def test_pushes_reach_every_transport_at_once(balanced, nodes):
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(one)
            for _ in range(4)
            for one in (
                balanced.websocket("identifiers=passes", headers=DEFLATE),
                balanced.stream("identifiers=passes"),
                balanced.stream("identifiers=passes", path="events"),
                WebSocket(balanced.tls_port, f"/{API_KEY}/websocket?identifiers=passes", wrap=balanced.tls),
                Stream(balanced.tls_port, f"/{API_KEY}/stream?identifiers=passes", wrap=balanced.tls),
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
    """Return the number of listeners of a node."""
    text = node.request("GET", "/metrics", port=node.admin_port).body.decode()
    return sum(map(float, re.findall(r"^cometify_listeners\{.*\} (\S+)", text, re.MULTILINE)))


def test_poll_waits_for_its_push(balanced):
    position = balanced.poll(query="identifiers=waits").frames[-1]["position"]
    with Connection(balanced.port) as poll:
        poll.send(request_bytes("GET", f"/{API_KEY}/poll?identifiers=waits&position={position}"))
        eventually(lambda: push(balanced, "waits", "now").json["listeners"] in (0, 1))
        assert [frame.get("text") for frame in poll.answer().frames][:1] == ["now"]


def test_push_arrives_if_its_publisher_never_reads(balanced):
    name = f"hasty_{balanced.name}"
    with balanced.websocket(f"identifiers={name}") as listener:
        listener.joined()
        for number in range(60):
            text = f"Hello {number}"
            body = form({"identifier": name, "secret": "0", "text": text, "secure": secure(name, text)})
            with Connection(balanced.port) as publisher:
                publisher.send(
                    f"POST http://cometify.org/{API_KEY}/push/{name} HTTP/1.1\r\nHost: cometify.org\r\n"
                    f"Content-type: application/x-www-form-urlencoded\r\nContent-length: {len(body)}\r\n"
                    "Connection: Close\r\n\r\n".encode()
                    + body
                )
        assert sorted(listener.texts(60)) == sorted(f"Hello {number}" for number in range(60))


def test_listener_that_leaves_is_gone_at_once(balanced, nodes):
    eventually(lambda: sum(map(joined, nodes)) == 0, 3)
    opened = [balanced.stream("identifiers=goes"), balanced.websocket("identifiers=goes")]
    for listener in opened:
        listener.joined()
    assert sum(map(joined, nodes)) == 2
    for listener in opened:
        listener.close()
    eventually(lambda: sum(map(joined, nodes)) == 0, 3)


def test_visitor_cannot_choose_the_counted_address(balanced):
    target = f"/{API_KEY}/stream?identifiers=counted"
    with ExitStack() as stack:

        def listen(source: str, headers: dict[str, str] | None = None) -> Stream:
            return stack.enter_context(Stream(balanced.port, target, headers, source=source))

        assert [listen("127.0.0.5").status for _ in range(30)] == [200] * 30
        assert listen("127.0.0.5").status == 429
        assert listen("127.0.0.5", {"X-Forwarded-For": "192.0.2.7"}).status == 429
        assert listen("127.0.0.6").status == 200


@pytest.mark.parametrize("claim", [{}, {"X-Forwarded-Proto": "https"}, {"X-Forwarded-For": "127.0.0.1"}])
def test_api_secret_is_taken_from_publishers_with_tls(balanced, claim):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_SECRET}", **claim}
    request = request_bytes("POST", f"/{API_KEY}/push/bearer", b'{"text":"x","secret":0}', headers)
    with Connection(balanced.port) as in_clear, Connection(balanced.tls_port, wrap=balanced.tls) as over_tls:
        for publisher, status in ((in_clear, 403), (over_tls, 200)):
            publisher.send(request)
            assert publisher.answer().status == status


# Nodes that die.


def refuses(port: int) -> bool:
    """Tell whether a port refuses connections."""
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it was closed in this moment
        return False
    return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_push_is_lost_or_doubled_when_a_node_goes(balanced, nodes, how):
    victims: list[Server] = []

    def strike() -> None:
        victim = max(nodes, key=joined)
        os.kill(victim.pid, how)
        if how is signal.SIGTERM:  # some pushes are to come when its listeners leave
            eventually(lambda: refuses(victim.port))
        victims.append(victim)

    pushed = follow_and_push(balanced, f"{balanced.name}_{how.name}", strike)
    (victim,) = victims
    assert victim.process is not None
    assert victim.process.wait(20) == -how
    victim.start()
    assert pushed.resumed


def test_listeners_stay_while_redis_is_away(balanced, redis):
    name = f"away_{balanced.name}"
    with balanced.websocket(f"identifiers={name}") as websocket, balanced.stream(f"identifiers={name}") as stream:
        for listener in (websocket, stream):
            listener.joined()
        redis.stop()
        try:
            for _ in range(6):  # nginx stops asking a node that has answered 503, and answers by itself then
                answer = push(balanced, name, "lost")
                assert answer.status == 503
                assert answer.json["code"] == "engine_unavailable"
                assert int(answer.headers["retry-after"]) > 0
        finally:
            redis.start()

        def pushed() -> bool:
            return push(balanced, name, "back", **{"Idempotency-Key": f"back to {balanced.name}"}).status == 200

        eventually(pushed)
        for listener in (websocket, stream):
            while (frame := listener.frame())["type"] != "push":
                assert frame["type"] == "heartbeat", frame
            assert frame["text"] == "back"


@pytest.mark.parametrize("name", NAMES)
def test_listeners_are_back_soon_after_a_rolling_restart(make_server, redis, before, name):
    """Listeners only: a push that succeeds would tell nginx that a node is back, and hide that joining does not."""
    options = {"redis": redis.url, "trusted_proxies": ["127.0.0.1"], "drain": DRAIN, "heartbeat": 5}
    servers = [reachable(make_server, **options) for _ in range(3)]
    balancer = before(name, *[(server.port, server.admin_port) for server in servers])
    transports = ("websocket", "stream", "events", "poll")
    visitors = [Visitor(balancer, transports[number % 4], number) for number in range(120)]
    for visitor in visitors:
        visitor.start()

    def present() -> float:
        return sum(map(joined, servers))

    try:
        eventually(lambda: present() == len(visitors), START_WITHIN)
        assert min(map(joined, servers)) > 0, "each node has some of them"
        for server in servers[:-1]:
            server.stop()
            server.start()
        with SchedulingLag() as lag:
            began = time.monotonic()
            servers[-1].stop()
            servers[-1].start()
            # A poller between two polls is not counted, so 95 % is as good as all.
            eventually(lambda: present() >= 0.95 * len(visitors), START_WITHIN)
            took = time.monotonic() - began
            # A start is one second of computing, which takes as much longer as others have the cores.
            assert took < DRAIN + 3 + lag.seconds + waited_for_cpu(servers[-1].pid)
    finally:
        for visitor in visitors:
            visitor.leaving = True
        balancer.stop()  # ends their connections
        for visitor in visitors:
            visitor.join(20)
    assert not any(visitor.is_alive() for visitor in visitors)


# systemd.


def test_systemd_unit_starts_reloads_and_stops(make_server, tmp_path):
    """Does what systemd does, because systemd does not run here."""
    lines = [line.split("=", 1) for line in (DEPLOY / "cometify.service").read_text().splitlines() if "=" in line]
    unit, reloads = dict(lines), [value for name, value in lines if name == "ExecReload"]
    server: Server = make_server(drain=2)
    server.stop()
    program, *arguments = unit["ExecStart"].split()
    assert program == "/opt/cometify/bin/twistd"
    file = str(server.folder / "cometify.toml")
    arguments = [file if word == "/etc/cometify/cometify.toml" else word for word in arguments]
    assert file in arguments
    with server.log.open("ab") as log:
        server.process = subprocess.Popen(
            [*TWISTD, *arguments], cwd="/", stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": PYTHONPATH}
        )
    eventually(lambda: server.log.read_text().count("Cometify is up") == 2)

    def reload() -> int:
        """Does what systemd does: one command after the other, and none after one that has failed."""
        for line in reloads:
            words = line.replace("$MAINPID", str(server.pid)).replace("/etc/cometify/cometify.toml", file).split()
            if words[0] == program:
                words[:1] = TWISTD
            if subprocess.run(words, env={**os.environ, "PYTHONPATH": PYTHONPATH}, check=False).returncode:
                return 1
        return 0

    assert reload() == 0
    eventually(lambda: "Reload done, 1 accounts" in server.log.read_text())
    Path(file).write_text(Path(file).read_text() + "typo = 1\n")
    assert reload() == 1
    assert "Reload failed" not in server.log.read_text()
    assert server.stop(signal.SIGTERM) == -signal.SIGTERM
    assert int(unit["TimeoutStopSec"]) >= Settings(()).drain + GRACE


class Dying:
    """A node that dies over each request: it has read it, whole, and does not answer."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._socket = socket.create_server(("", 0))
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
def test_balancer_repeats_pushes_with_a_key_only(make_server, before, dying, name):
    server = reachable(make_server)
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
            if headers and name != "caddy":  # which repeats none
                assert answer.status == 200
                continue
            assert answer.json["code"] == "engine_unavailable"
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
        assert all(b"POST" in request for request in dying.requests[seen:])
        server.pushed("chat", "and none came late")
        assert listener.texts(1) == ["and none came late"]


@pytest.mark.parametrize("name", NAMES)
def test_answer_without_nodes_is_known_to_clients(make_server, before, name):
    server = reachable(make_server)
    balancer = before(name, (server.port, server.admin_port), (free_ports(1)[0], free_ports(1)[0]))
    server.stop()
    for answer in (
        push(balancer, "chat", "x"),
        push(balancer, "chat", "x", **{"Idempotency-Key": "key"}),
        balancer.poll(query="identifiers=chat"),
    ):
        assert answer.status in (502, 503)
        assert answer.json["code"] == "engine_unavailable"
        assert answer.json["status"] == answer.status
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
        assert int(answer.headers["retry-after"]) > 0
