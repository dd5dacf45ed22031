"""Connections that have waited for too long: which are closed, and which are served all the same."""

import socket
import time
from contextlib import ExitStack

import pytest

from cometify.runtime.left_peers import LOOK_AFTER, LOOK_EVERY, LeftPeers

ASKED = b"GET /KEY/websocket HTTP/1.1\r\n"
PUSHED = b"POST /KEY/push/chat HTTP/1.1\r\n"
TLS = b"\x16\x03\x01\x02\x00"
LINE = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n"
BINARY = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)


@pytest.fixture
def connect():
    """Connect a peer that sends some bytes, and perhaps leaves. Returns the accepted connection's descriptor."""
    with ExitStack() as opened:
        port = opened.enter_context(socket.create_server(("127.0.0.1", 0)))

        def connect(sent=ASKED, *, leaves=False):
            peer = opened.enter_context(socket.create_connection(port.getsockname()))
            if sent:
                peer.sendall(sent)
            if leaves:
                peer.close()
            connection, _address = port.accept()
            return opened.enter_context(connection).fileno()

        yield connect


def looking(**times):
    """Peers of whom one has left just now, so that all others are looked at."""
    ours = LeftPeers(**times)
    ours._looks = LOOK_AFTER
    return ours


def wait():
    """Let the connections wait for longer than 10 ms. The kernel counts in ticks of up to 10 ms."""
    time.sleep(0.05)


def test_connection_of_peer_that_left_is_closed(connect):
    ours, left, stays = looking(left_after=10), connect(leaves=True), connect()
    wait()
    assert ours.comes_too_late(left)
    assert ours.has_left(left)
    assert not ours.comes_too_late(stays)
    assert not ours.has_left(stays)
    assert ours.count == 2


def test_peer_that_closes_its_side_and_waits_is_served(connect):
    ours = looking()
    assert not ours.comes_too_late(connect(leaves=True))


@pytest.mark.parametrize("header", [b"", LINE, BINARY])
def test_push_is_served_although_its_peer_has_left(connect, header):
    pushed = header + PUSHED
    ours, left, late = looking(left_after=10, too_late=10), connect(pushed, leaves=True), connect(pushed)
    wait()
    assert not ours.comes_too_late(left)
    assert not ours.comes_too_late(late)
    assert ours.count == 0


def test_late_connection_is_closed_in_a_storm_alone(connect):
    late, silent = connect(), connect(b"")
    wait()
    calm = LeftPeers(left_after=10, too_late=10)
    assert not any(calm.comes_too_late(late) for _ in range(2 * LOOK_EVERY))
    storm = looking(left_after=10, too_late=10)
    assert storm.comes_too_late(late)
    assert not storm.comes_too_late(silent)
    assert storm.has_left(late)
    assert not calm.has_left(late)


@pytest.mark.parametrize("sent", [ASKED, TLS, LINE + ASKED, BINARY + ASKED, LINE[:9], BINARY[:20]])
def test_connection_that_waits_too_long_to_be_read_is_closed_in_a_storm(connect, sent):
    late, new = connect(sent), connect(sent)
    pushes = [connect(header + PUSHED) for header in (b"", LINE, BINARY)]
    wait()
    calm, storm = LeftPeers(too_late=10), looking(too_late=10)
    assert not any(calm.is_read_too_late(late) for _ in range(2 * LOOK_EVERY))
    assert storm.is_read_too_late(late)
    assert not any(map(storm.is_read_too_late, pushes))
    assert not looking().is_read_too_late(new)


def test_one_connection_in_so_many_is_looked_at_until_one_was_left(connect):
    ours, left = LeftPeers(left_after=10), connect(leaves=True)
    wait()
    assert [ours.comes_too_late(left) for _ in range(LOOK_EVERY)] == [False] * (LOOK_EVERY - 1) + [True]
    assert all(ours.comes_too_late(left) for _ in range(LOOK_AFTER // 64))


def test_descriptor_of_something_else_is_served(tmp_path):
    ours = looking(left_after=0)
    with (tmp_path / "file").open("w") as file:
        assert not ours.comes_too_late(file.fileno())
