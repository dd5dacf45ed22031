"""Tokens that expire while Redis is asked for something else, or is away."""

import pytest

from tests.contract.support import gaps, texts
from tests.engine.redis.nodes import joined


def expiring(world, names="chat"):
    wire = joined(world.websocket(f"identifiers={names}&token={world.token('*', lasts=10)}"))
    world.advance(9)
    wire.frames()
    return wire


def ask_without_an_answer(wire, group, turns):
    """Send a `listen` frame, and let only so many turns of the reactor pass."""
    wire.transport.protocol.dataReceived(wire.listen_frame(group))
    for _ in range(turns):
        wire.world.reactor.advance(0)
        wire.world.reactor.pump()


def expire(world):
    world.wall_skew += 5
    world.reactor.advance(1)


@pytest.mark.parametrize("key", ["none", "another token"])
@pytest.mark.parametrize("turns", range(7))
def test_token_that_expires_while_others_are_asked_for(nodes, turns, key):
    """The connection ends, and nothing is lost to it; or it has joined what it asked for in time."""
    world, other = nodes
    wire = expiring(world)
    group = {"identifiers": ["news"], **({} if key == "none" else {"token": world.token("news", lasts=60)})}
    ask_without_an_answer(wire, group, turns)
    expire(world)
    nodes.settle()
    frames = wire.frames()
    other.pushed("chat", "hush", secret=1)
    other.pushed("news", "news", secret=int(key != "none"))
    nodes.settle()
    if frames[0]["type"] == "error":
        assert frames[0]["code"] == "invalid_token"
        assert wire.frames() == []
    else:
        assert [frame["type"] for frame in frames] == ["ready", "heartbeat"]
        assert texts(wire.frames()) == ["news"]


def test_right_ends_while_redis_is_away(nodes):
    world, other = nodes
    wire = expiring(world)
    nodes.cut(world)
    expire(world)
    frames = wire.frames()
    assert (frames[0]["type"], frames[0]["secret"]) == ("ready", [])
    nodes.find()
    wire.frames()
    other.pushed("chat", "hush", secret=1)
    other.pushed("chat", "to all")
    nodes.settle()
    assert texts(wire.frames()) == ["to all"]
    wire.listen({"identifiers": ["chat"], "token": world.token("chat")})
    assert gaps(wire.frames()) == [["chat"]]
