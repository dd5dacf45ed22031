"""Connections of one address and file descriptors: a server that strangers connect to as often as they like."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from bench.rig import wire
from tests.conftest import TWISTD, Server, assert_clean
from tests.contract.support import API_KEY, fields
from tests.wire import FORM, Connection, WebSocket, eventually, form, request_bytes

NARROW = ["prlimit", "--nofile=200:200", *TWISTD]
OK = b"HTTP/1.1 200"
POLL = request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat")


def is_closed(connection: Connection) -> bool:
    """True if the server closes the connection. False if it answers."""
    try:
        connection.send(POLL)
        return not connection.fill()
    except OSError:
        return True


def refused(server: Server, bound: str) -> int:
    figures = server.request("GET", "/metrics", port=server.admin_port).body.decode()
    (line,) = [
        line
        for line in figures.splitlines()
        if line.startswith("cometify_connections_refused_total{") and bound in line
    ]
    return int(float(line.rpartition(" ")[2]))


def is_served(server: Server, source: str) -> bool:
    with Connection(server.port, source=source) as again:
        return not is_closed(again)


def test_one_address_has_so_many_connections_at_once(make_server):
    server = make_server(connections_per_ip=3)
    with ExitStack() as opened:
        ours = [opened.enter_context(Connection(server.port, source="127.0.3.1")) for _ in range(3)]
        assert not any(map(is_closed, ours))
        for _ in range(5):
            with Connection(server.port, source="127.0.3.1") as one_more:
                assert is_closed(one_more)
        with Connection(server.websocket_port, source="127.0.3.1") as elsewhere:
            assert is_closed(elsewhere)
        with Connection(server.port, source="127.0.3.2") as another:
            assert not is_closed(another)
        assert refused(server, "connections_per_ip") == 6
        ours.pop().close()
        eventually(lambda: is_served(server, "127.0.3.1"))
    assert server.log.read_text().count("connections_per_ip") == 1


def test_trusted_proxies_may_have_any_number_of_connections(make_server):
    server = make_server(connections_per_ip=1, trusted_proxies=["127.0.3.0/24"])
    with ExitStack() as opened:
        ours = [opened.enter_context(Connection(server.port, source="127.0.3.1")) for _ in range(5)]
        assert not any(map(is_closed, ours))


def test_every_peer_of_the_proxy_protocol_is_a_proxy(make_server):
    server = make_server(connections_per_ip=1)
    server.stop()
    server.options["http"] = [f"haproxy:tcp:{server.port}:interface=127.0.0.1"]
    server.start()
    preamble = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n"
    with ExitStack() as opened:
        ours = [opened.enter_context(Connection(server.port, preamble=preamble)) for _ in range(5)]
        assert not any(map(is_closed, ours))


class Narrow(Server):
    """A server with 200 file descriptors."""

    twistd = NARROW


@pytest.fixture
def make_narrow(tmp_path: Path) -> Iterator[Callable[[int | None], Narrow]]:
    servers: list[Narrow] = []

    def make(connections_per_ip: int | None) -> Narrow:
        servers.append(Narrow(tmp_path, {"connections_per_ip": connections_per_ip}, {}))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.stop()
        assert_clean(server.log.read_text())


def test_default_is_a_tenth_of_the_file_descriptors(make_narrow):
    narrow = make_narrow(None)
    with ExitStack() as opened:
        ours = [opened.enter_context(Connection(narrow.port, source="127.0.3.1")) for _ in range(20)]
        assert not any(map(is_closed, ours))
        with Connection(narrow.port, source="127.0.3.1") as one_more:
            assert is_closed(one_more)


def test_health_and_metrics_answer_while_the_public_ports_are_full(make_narrow):
    narrow = make_narrow(0)
    with ExitStack() as opened:
        listener = opened.enter_context(WebSocket(narrow.port, f"/{API_KEY}/websocket?identifiers=chat"))
        listener.joined()
        publisher = opened.enter_context(Connection(narrow.port))
        others = [opened.enter_context(Connection(narrow.port)) for _ in range(300)]
        eventually(lambda: refused(narrow, "file_descriptors") >= 100)
        for _ in range(5):
            assert narrow.request("GET", "/health/live", port=narrow.admin_port).status == 200
        publisher.send(POLL)
        assert publisher.answer().status == 200
        with Connection(narrow.port) as one_more:
            assert is_closed(one_more)
        lines = [line for line in narrow.log.read_text().splitlines() if "Refused" in line or "EMFILE" in line]
        assert len(lines) == 1
        for other in others:
            other.close()
        eventually(lambda: is_served(narrow, "127.0.3.1"))


@pytest.mark.parametrize("kind", ["silent", "begun", "answered"])
def test_operator_gets_in_beside_idle_connections_to_admin(make_narrow, kind):
    narrow = make_narrow(0)
    live = request_bytes("GET", "/health/live")
    with ExitStack() as opened:
        for port in (narrow.port, narrow.admin_port):
            for _ in range(300):
                with suppress(OSError):  # the earlier ones make way
                    other = opened.enter_context(Connection(port))
                    if port == narrow.admin_port:
                        other.send({"silent": b"", "begun": live[:9], "answered": live}[kind])
        for _ in range(5):
            assert narrow.request("GET", "/health/live", port=narrow.admin_port).status == 200
        # The file descriptors that the admin endpoint does not take are left for Redis, files and look-ups.
        assert len(list(Path(f"/proc/{narrow.pid}/fd").iterdir())) <= 196
    assert "EMFILE" not in narrow.log.read_text()


def test_clients_that_have_left_do_not_join_when_it_is_their_turn(make_server):
    server = make_server()
    asked = request_bytes("GET", f"/{API_KEY}/websocket?identifiers=chat", None, wire.UPGRADE)
    os.kill(server.pid, signal.SIGSTOP)  # nothing is accepted for a second, as in a storm
    try:
        for _ in range(40):
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(asked)
        time.sleep(1.2)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    eventually(lambda: refused(server, "came_late") == 40)
    figures = server.request("GET", "/metrics", port=server.admin_port).body.decode()
    assert 'cometify_listeners_joined_total{transport="websocket"} 0.0' in figures


def test_late_request_is_closed_unread_in_a_storm_and_pushes_and_the_operator_are_served(make_server):
    server = make_server()
    asked = request_bytes("GET", f"/{API_KEY}/websocket?identifiers=chat", None, wire.UPGRADE)
    push = request_bytes("POST", f"/{API_KEY}/push/chat", form(fields("chat", "late")), FORM)
    probe = request_bytes("GET", "/health/live")
    with ExitStack() as opened:

        def connect(port, sent):
            client = opened.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            client.sendall(sent)
            return client

        def answers(clients):
            return [first_bytes(client)[:12] for client in clients]

        served = connect(server.port, POLL)
        assert answers([served]) == [OK]
        with stopped(server):
            for _ in range(40):
                connect(server.port, asked).close()
            time.sleep(1.2)
        eventually(lambda: refused(server, "came_late") == 40)
        unread = [connect(server.port, b"") for _ in range(6)]
        # An answer of a later turn of the event loop: those are accepted by now.
        assert server.request("GET", "/health/live", port=server.admin_port).status == 200
        with stopped(server):
            for client in (served, *unread[1:]):
                client.sendall(POLL)
            unread[0].sendall(push)
            pushed = connect(server.port, push)
            probed = connect(server.admin_port, probe)
            time.sleep(2.7)
        assert answers([probed, pushed, unread[0], served]) == [OK] * 4
        assert answers(unread[1:]) == [b""] * 5
        eventually(lambda: refused(server, "came_late") == 45)


@contextmanager
def stopped(server):
    """Stop the server for a while, so that whatever comes waits."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def first_bytes(client):
    """The first bytes that a client gets, none if its connection is closed."""
    try:
        return client.recv(4096)
    except ConnectionResetError:
        return b""
