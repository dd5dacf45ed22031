"""Accounts whose spelling of identifiers changes while a listener joins. Only Redis lets a join take some time."""

import pytest

from cometify.config.settings import Settings
from cometify.core.account import Account
from tests.contract.support import by_query, texts
from tests.memory import World
from tests.redis import RedisServer
from tests.wire import API_KEY, API_SECRET, request_bytes

EXTENDED = Account(API_KEY, (API_SECRET,), identifiers="extended")
PLAIN = Account(API_KEY, (API_SECRET,))
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture
def world(moved_redis: RedisServer):
    World.redis = moved_redis
    yield World(EXTENDED)
    World.end_all()
    moved_redis.command("FLUSHALL")


def change(world, account):
    world.server.change_accounts(Settings((account,)))
    world.settle()


def turn(world, turns):
    """Let a part of what is due happen."""
    for _ in range(turns):
        world.reactor.advance(0)
        world.reactor.pump()


@pytest.mark.parametrize("transport", ["websocket", "stream", "events", "poll"])
@pytest.mark.parametrize("turns", range(6))
def test_name_that_goes_while_it_is_joined_ends_the_listener(world, transport, turns):
    wire = world.connect()
    wire.is_websocket = transport == "websocket"
    target = f"/{API_KEY}/{transport}?identifiers=chat:0,order.42:0"
    wire.transport.protocol.dataReceived(request_bytes("GET", target, headers=UPGRADE if wire.is_websocket else {}))
    turn(world, turns)
    change(world, PLAIN)
    told = wire.body()
    # A poll that had joined before was answered, and is over.
    assert b"invalid_identifier" in told or (transport == "poll" and b'"ready"' in told)
    assert transport == "poll" or len(world.server.membership) == 0
    assert world.push("chat", "to all").json["listeners"] == 0


@pytest.mark.parametrize("turns", range(6))
def test_frame_behind_another_is_read_by_the_rule_of_now(world, turns):
    """The second frame waits until the first one is answered."""
    wire = world.websocket()
    frames = [wire.listen_frame({"identifiers": names}) for names in (["chat"], ["chat", "order.42"])]
    wire.transport.protocol.dataReceived(b"".join(frames))
    turn(world, turns)
    change(world, PLAIN)
    codes = [frame["code"] for frame in wire.frames() if frame["type"] == "error"]
    assert codes == ["invalid_identifier"]
    assert len(world.server.membership) == 0


def test_nodes_hear_pushes_to_extended_names(world):
    other = World(EXTENDED, beside=world)
    wire = by_query(other, "websocket", "identifiers=order.42,a-b")
    other.settle()
    wire.frames()
    world.pushed("Order.42", "from the other node")
    other.settle()
    assert texts(wire.frames()) == ["from the other node"]
