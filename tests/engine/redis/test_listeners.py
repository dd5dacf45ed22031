"""`listeners` of an account over several nodes of one Redis."""

import pytest

from cometify.core.account import Account
from cometify.engine.redis.slots import SURE_AFTER
from tests.contract.support import kinds, refusal, texts
from tests.engine.redis.nodes import Nodes, joined
from tests.memory import World
from tests.wire import API_KEY, API_SECRET, request_bytes

NAME = f"cometify:{{{API_KEY}}}"
REFUSED = ("too_many_listeners", 4101)


@pytest.fixture
def few(moved_redis):
    """Two nodes of an account that may have three listeners."""
    World.redis = moved_redis
    nodes = Nodes(World(Account(API_KEY, (API_SECRET,), listeners=3)), 2)
    yield nodes
    nodes.redis.close()
    World.end_all()
    moved_redis.command("FLUSHALL")


def join(world, number, name=""):
    query = f"identifiers=chat&listener={name}" if name else "identifiers=chat"
    return world.websocket(query, host=f"10.0.0.{number}")


def is_in(wire):
    return kinds(wire.frames())[0] == "ready"


def test_nodes_count_the_listeners_of_an_account_together(few):
    first, second = few
    wires = [joined(join(few[number % 2], number)) for number in range(3)]
    for world in few:
        assert refusal(join(world, 9)) == REFUSED
    assert [wire.frames() for wire in wires] == [[]] * 3
    wires[0].lose()
    few.settle()
    assert is_in(join(second, 9))
    assert refusal(join(first, 8)) == REFUSED


def test_listener_has_its_place_at_another_node_too(few):
    first, second = few
    old = joined(join(first, 1, "listener-1"))
    joined(join(first, 2)), joined(join(second, 3))
    assert is_in(join(second, 1, "listener-1"))
    few.settle()
    few.advance(SURE_AFTER)
    assert old.frames()[0]["code"] == "replaced"
    assert is_in(join(first, 1, "listener-1"))
    few.settle()
    few.advance(SURE_AFTER)
    assert refusal(join(second, 4)) == REFUSED, "it has moved twice, and counts once"


def test_claim_that_comes_late_does_not_end_the_listener_that_is_at_another_node_by_now(few):
    """Its first node was busy, so it gave up and went to another one. Then the first node reads what it had sent."""
    first, second = few
    there = joined(join(second, 1, "listener-1"))
    late = first.connect("10.0.0.1")
    late.transport.protocol.dataReceived(
        request_bytes("GET", f"/{API_KEY}/stream?identifiers=chat&listener=listener-1", None, {})
    )
    late.lose()
    few.settle()
    few.advance(SURE_AFTER)
    second.pushed("chat", "still here")
    few.settle()
    assert texts(there.frames()) == ["still here"]
    assert is_in(join(second, 2))
    assert is_in(join(second, 3))
    assert refusal(join(first, 4)) == REFUSED, "it counts once"


def test_listeners_of_a_node_that_died_do_not_count(few):
    first, second = few
    for number in range(3):
        joined(join(first, number, f"listener-{number}"))
    few.worlds.remove(first)
    for transport in list(first.reactor.transports):
        transport.lose()
    few.advance(15)
    assert refusal(join(second, 9)) == REFUSED
    few.advance(10)
    assert all(is_in(join(second, number)) for number in (7, 8, 9))
    assert refusal(join(second, 0, "listener-0")) == REFUSED, "the places of the dead node are others' now"
    assert len(few.command("KEYS", f"{NAME}:h:*")) == len(few.command("SMEMBERS", f"{NAME}:nodes")) == 1


@pytest.mark.parametrize("emptied", [True, False])
def test_nodes_that_lost_redis_tell_it_their_listeners_again(few, emptied):
    first, second = few
    wires = [joined(join(few[number % 2], number)) for number in range(3)]
    few.cut()
    if emptied:
        few.command("FLUSHDB")
    few.find()
    few.settle()
    assert refusal(join(first, 9)) == REFUSED
    wires[1].lose()
    few.settle()
    assert is_in(join(first, 9))
    assert refusal(join(second, 8)) == REFUSED


def test_listener_that_left_while_redis_was_away_is_freed(few):
    first, second = few
    wires = [joined(join(first, number)) for number in range(3)]
    few.cut(first)
    wires[0].lose()
    few.find()
    few.settle()
    assert is_in(join(second, 9))
    assert refusal(join(second, 8)) == REFUSED
