"""A stream ends after 1 MiB, whatever way its bytes go, and after ten minutes."""

import pytest

from tests.memory import World
from tests.wire import API_KEY

MIB = 2**20
TEXT = "x" * 10_000
ENDS = b"0\r\n\r\n"


@pytest.fixture(params=[True, False], ids=["eager", "buffered"])
def world(request):
    World.eager = request.param
    yield World()
    World.end_all()


def read(wire):
    """Everything that the peer was sent since the last look, as it is."""
    data = wire.transport.value()
    wire.transport.clear()
    return data


def texts(data):
    """Count the pushes in a response."""
    return data.count(TEXT.encode())


def is_closed(wire):
    return wire.transport.disconnecting or not wire.transport.connected


@pytest.mark.parametrize("path", ["stream", "events"])
def test_live_stream_ends_with_the_push_that_reaches_1_mib(world, path):
    wire = world.request("GET", f"/{API_KEY}/{path}?identifiers=chat")
    total = len(read(wire))
    while True:
        assert total < MIB, "the stream should have ended by now"
        world.pushed("chat", TEXT)
        data = read(wire)
        assert texts(data) == 1
        total += len(data)
        if data.endswith(ENDS):
            break
    assert total - len(ENDS) >= MIB, "it ended too early"
    assert is_closed(wire)
    world.pushed("chat", TEXT)
    assert read(wire) == b""


def test_replay_ends_with_the_write_that_reaches_1_mib(world):
    first = world.pushed("chat", "first")
    for _ in range(150):
        world.pushed("chat", TEXT)
    wire = world.stream(f"identifiers=chat&position={first}")
    data = read(wire)
    assert data.endswith(ENDS)
    assert MIB <= len(data) - len(ENDS) < MIB + 64 * 1024, "the last write is 64 KiB at most"
    assert is_closed(wire)


def test_next_stream_goes_on_where_the_one_before_ended(world):
    first = position = world.pushed("chat", "first")
    pushed = [world.pushed("chat", TEXT) for _ in range(250)]
    got = []
    for _ in range(4):
        wire = world.stream(f"identifiers=chat&position={position}")
        got += [frame["position"] for frame in wire.frames() if frame["type"] == "push"]
        position = got[-1]
    assert first < got[0]
    assert got == pushed
    assert not is_closed(wire), "the last one has not reached 1 MiB"


def test_rest_of_a_cut_frame_counts_and_comes_before_the_end():
    World.eager = True
    world = World()
    wire = world.stream("identifiers=chat")
    data = read(wire)
    while len(data) + len(TEXT) < MIB:
        world.pushed("chat", TEXT)
        data += read(wire)
    wire.transport.peer.room = 100
    world.pushed("chat", TEXT)
    world.pushed("chat", TEXT)
    assert len(read(wire)) == 100
    wire.read_again()
    rest = read(wire)
    assert rest.endswith(ENDS)
    assert rest.count(b'"position"') == 1, "the frame that was begun, and nothing of the next"
    World.end_all()


def test_stream_ends_after_ten_minutes(world):
    wire = world.stream("identifiers=chat")
    world.advance(599)
    assert not is_closed(wire)
    world.advance(2)
    assert read(wire).endswith(ENDS)
    assert is_closed(wire)


def test_websocket_has_no_such_end(world):
    wire = world.websocket("identifiers=chat")
    for _ in range(120):
        world.pushed("chat", TEXT)
    assert not is_closed(wire)
    assert len(wire.frames()) == 1 + 1 + 120, "ready, heartbeat, and every push"
