"""A node of several drains: it serves until its listeners have gone to the others, a portion at a time."""

import json
from itertools import pairwise

import pytest

from cometify.app.drain import NOTICE
from cometify.core.account import Account
from tests.contract.support import code_of, kinds, texts
from tests.engine.redis.nodes import Nodes, joined
from tests.memory import World
from tests.redis import RedisServer
from tests.wire import API_KEY, API_SECRET, FORM, request_bytes

DRAIN = 4


@pytest.fixture
def nodes(moved_redis: RedisServer):
    """Two nodes of one Redis. The first one drains in these tests."""
    World.redis = moved_redis
    nodes = Nodes(World(Account(API_KEY, (API_SECRET,), listeners_per_ip=5000), drain=DRAIN), 2)
    yield nodes
    nodes.redis.close()
    World.end_all()
    moved_redis.command("FLUSHALL")


def begin(nodes):
    """Have the first node drain. The list has an element at the end."""
    ended = []
    nodes[0].server.drain().addCallback(ended.append)
    nodes.settle()
    return ended


def readiness(world):
    answer = world.admin("GET", "/health/ready")
    return answer.status, json.loads(answer.body).get("reason")


def test_draining_node_serves_everything_until_balancers_know(nodes):
    here = nodes[0]
    wire = joined(here.websocket("identifiers=chat"))
    ended = begin(nodes)
    assert readiness(here) == (503, "draining"), "from the first moment"
    nodes.advance(DRAIN * NOTICE - 0.1)
    late = joined(here.stream("identifiers=chat"))
    assert here.push("chat", "x").status == 200
    assert texts(wire.frames()) == texts(late.frames()) == ["x"]
    assert not here.server.membership.draining
    nodes.advance(1)
    assert kinds(wire.frames()) == ["reconnect", "(close)"]
    assert kinds(late.frames()) == ["reconnect", "(end)"]
    assert not ended, "they have not closed their connections yet"


def test_listeners_leave_in_portions_and_come_back_at_once(nodes):
    here = nodes[0]
    wires = [here.websocket("identifiers=chat") for _ in range(800)]
    nodes.settle()
    begin(nodes)
    nodes.advance(DRAIN * NOTICE + 0.3)
    left = []
    while len(here.server.membership):
        left.append(len(here.server.membership))
        nodes.advance(0.1, 0.1)
    portions = [before - after for before, after in pairwise(left)]
    assert DRAIN * 0.5 < len(left) * 0.1 < DRAIN * (1 - NOTICE)
    assert max(portions) <= 2 * 800 / len(left)
    assert all(1 <= wire.frames()[-2]["after"] <= 50 for wire in wires)


def test_few_listeners_do_not_take_the_whole_drain(nodes):
    here = nodes[0]
    wires = [here.stream("identifiers=chat") for _ in range(50)]
    ended = begin(nodes)
    nodes.advance(DRAIN * NOTICE + 1)
    assert all(wire.transport.disconnecting for wire in wires)
    for wire in wires:
        wire.lose()
    nodes.advance(0.5)
    assert ended


def test_pushes_reach_whoever_has_not_been_sent_away(nodes):
    here, there = nodes
    wires = [here.websocket("identifiers=chat") for _ in range(600)]
    for wire in wires:
        wire.frames()
    begin(nodes)
    nodes.advance(DRAIN * NOTICE + 1)
    assert 0 < len(here.server.membership) < 600
    here.pushed("chat", "by this node")
    there.pushed("chat", "by the other")
    nodes.settle()
    got = [[frame["text"] if frame["type"] == "push" else frame["type"] for frame in wire.frames()] for wire in wires]
    served = [frames for frames in got if "reconnect" not in frames]
    assert len(served) == len(here.server.membership)
    assert set(map(tuple, served)) == {("by this node", "by the other")}


def test_ports_close_when_balancers_can_know(nodes):
    here, closed = nodes[0], []

    def close():
        closed.append(here.reactor.seconds() - began)
        return here.server.engine.leave()  # any Deferred

    began = here.reactor.seconds()
    here.server.drain(close)
    nodes.advance(DRAIN)
    assert closed == [pytest.approx(DRAIN * NOTICE, abs=1)]


def test_unused_connections_close_with_the_ports(nodes):
    here = nodes[0]
    request = request_bytes("POST", f"/{API_KEY}/push/chat", b"", FORM)
    unused, begun, waiting = (here.connect() for _ in range(3))
    for wire in (unused, begun):
        wire.receive(request)
        assert wire.answer().status == 400
    waiting.receive(request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat&position={here.clock()}"))
    begun.receive(request[:20])
    here.server.drain()
    while not here.server.membership.draining:
        late = here.connect()
        nodes.advance(0.1, 0.1)
    nodes.settle()
    assert unused.transport.disconnecting
    assert not begun.transport.disconnecting
    assert not late.transport.disconnecting
    assert [frame["type"] for frame in waiting.frames()] == ["reconnect"]
    begun.receive(request[20:])
    assert begun.answer().status == 400


def test_pushes_are_refused_at_the_end_only(nodes):
    here = nodes[0]
    wire = joined(here.websocket("identifiers=chat"))
    ended = begin(nodes)
    nodes.advance(DRAIN - 1)
    assert here.push("chat", "x").status == 200
    wire.lose()
    nodes.advance(0.5)
    assert ended
    assert code_of(here.push("chat", "x")) == "draining"


def test_nodes_that_end_together_know_that_nobody_stays(nodes):
    """As the workers of one machine do: their listeners must wait until they have been started again."""
    wires = [joined(world.websocket("identifiers=chat")) for world in nodes]
    for world in nodes:
        world.server.drain()
    nodes.advance(1)
    for wire in wires:
        assert wire.frames()[0]["after"] > 1000


def test_node_that_cannot_ask_takes_the_others_for_there(nodes):
    here = nodes[0]
    wire = joined(here.websocket("identifiers=chat"))
    nodes.cut(here)
    begin(nodes)
    nodes.advance(DRAIN * NOTICE + 1)
    assert wire.frames()[0]["after"] <= 50


def test_node_that_drains_is_not_counted_after_a_lost_session(nodes):
    here, there = nodes
    wire = joined(there.websocket("identifiers=chat"))
    begin(nodes)
    nodes.advance(0.3)
    nodes.cut(here)
    nodes.find()
    there.server.drain()
    nodes.advance(1)
    assert wire.frames()[0]["after"] > 1000
