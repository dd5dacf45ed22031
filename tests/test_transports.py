"""The transports of the tests are faithful: the server takes the eager one for the transport of production."""

import socket

import pytest

from cometify.runtime import sockets, tcp
from tests.memory import World


@pytest.fixture
def world():
    World.eager = True
    yield World()
    World.end_all()


def test_server_finds_the_eager_transport(world):
    wire = world.stream("identifiers=chat")
    assert sockets.eager(wire.transport) is wire.transport
    assert wire.transport.protocol.eager is wire.transport


def test_rest_of_a_frame_waits_until_the_peer_reads(world):
    wire = world.stream("identifiers=chat")
    wire.frames()
    wire.transport.peer.room = 10
    world.pushed("chat", "one")
    assert (len(wire.transport.value()), wire.transport.unsent > 0) == (10, True)
    wire.read_again()
    assert [frame["text"] for frame in wire.frames()] == ["one"]
    assert wire.transport.unsent == 0


def test_connection_is_closed_once_everything_is_written(world):
    wire = world.stream("identifiers=chat")
    wire.frames()
    wire.stop_reading()
    world.drain()
    assert wire.transport.connected
    wire.read_again()
    assert not wire.transport.connected
    assert [frame["type"] for frame in wire.frames()] == ["reconnect", "(end)"]


def test_stalled_listener_has_another_user_timeout(world):
    wire = world.stream("identifiers=chat")
    timeout = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    wire.stop_reading()
    world.pushed("chat", "one")
    assert wire.transport.peer.options[timeout] == tcp.STALLED_WITHIN
    wire.read_again()
    assert wire.transport.peer.options[timeout] == tcp.ACKNOWLEDGED_WITHIN
