"""A node that has come gets its share of the listeners, because the others send those above the mean away."""

import pytest

from cometify.core.account import Account
from cometify.engine.redis.levelling import AFTER, ANSWERS_WITHIN, LEAST
from tests.engine.redis.nodes import Nodes, joined
from tests.memory import World
from tests.redis import RedisServer
from tests.wire import API_KEY, API_SECRET, request_bytes

MANY = 4 * LEAST


@pytest.fixture
def nodes(moved_redis: RedisServer):
    """One node. Others come in the tests."""
    World.redis = moved_redis
    nodes = Nodes(World(Account(API_KEY, (API_SECRET,), listeners_per_ip=5000)), 1)
    nodes.advance(AFTER + ANSWERS_WITHIN + 1)
    yield nodes
    nodes.redis.close()
    World.end_all()
    moved_redis.command("FLUSHALL")


def come(nodes):
    """Start another node, and let time pass until the listeners can have been levelled."""
    nodes.worlds.append(World(*nodes[0].server.settings.accounts, beside=nodes[0]))
    nodes.settle()
    nodes.advance(AFTER + ANSWERS_WITHIN + 2)


def told(wires):
    """The delays of the listeners that were sent away."""
    frames = [wire.frames() for wire in wires]
    return [frame["after"] for found in frames for frame in found if frame["type"] == "reconnect"]


def test_node_that_comes_gets_its_share(nodes):
    wires = [joined(nodes[0].websocket("identifiers=chat")) for _ in range(MANY)]
    come(nodes)
    delays = told(wires)
    assert len(delays) == MANY / 2
    assert max(delays) <= 50
    assert len(nodes[0].server.membership) == MANY / 2


def test_third_node_gets_from_both(nodes):
    come(nodes)
    wires = [[joined(world.stream("identifiers=chat")) for _ in range(3 * LEAST)] for world in nodes]
    come(nodes)
    assert [len(told(here)) for here in wires] == [LEAST, LEAST]


def test_few_listeners_stay_where_they_are(nodes):
    wires = [joined(nodes[0].websocket("identifiers=chat")) for _ in range(LEAST)]
    come(nodes)
    assert told(wires) == []


def test_polls_are_not_sent_away(nodes):
    here = nodes[0]
    position = joined(here.websocket("identifiers=chat")) and here.clock()
    wires = [here.poll(f"identifiers=chat&position={position}") for _ in range(MANY)]
    come(nodes)
    assert not any(wire.answered and '"reconnect"' in wire.body().decode() for wire in wires)


def test_listeners_are_levelled_once_for_each_start(nodes):
    wires = [joined(nodes[0].websocket("identifiers=chat")) for _ in range(MANY)]
    come(nodes)
    assert told(wires)
    nodes.advance(4 * AFTER)
    nodes.cut()
    nodes.find()
    nodes.advance(2 * AFTER)
    assert told(wires) == []


def test_node_that_drains_is_not_counted(nodes):
    come(nodes)
    wires = [joined(nodes[1].websocket("identifiers=chat")) for _ in range(MANY)]
    nodes[0].server.drain()
    come(nodes)
    assert len(told(wires)) == MANY / 2


@pytest.mark.parametrize(
    "text", ["@~", "@~!", "@~!x", "@~!-1", "@~!99999999999999", "@~?", "@~?cometify:elsewhere", "@~=x"]
)
def test_garbage_on_the_channel_does_nothing(nodes, text):
    wires = [joined(nodes[0].websocket("identifiers=chat")) for _ in range(LEAST)]
    nodes.command("PUBLISH", f"cometify:{nodes[0].database}:staying", text)
    nodes.settle()
    assert told(wires) == []
    assert nodes[0].server.engine.available


def test_lists_over_nodes_are_not_disturbed(nodes):
    """The answers to questions of back ends come on the same channels."""
    come(nodes)
    wires = [joined(world.websocket("identifiers=chat")) for world in nodes]
    wire = nodes[0].connect("127.0.0.1")
    wire.receive(request_bytes("GET", f"/{API_KEY}/identifiers", None, {"Authorization": f"Bearer {API_SECRET}"}))
    nodes.settle()
    answer = wire.answer()
    assert [(row["identifier"], row["listeners"]) for row in answer.json["identifiers"]] == [("chat", len(wires))]
