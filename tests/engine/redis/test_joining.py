"""Many listeners that join in the same moment: each step of the event loop lets a bounded number join, or refuses it."""

import pytest
from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.core.kept_pushes import KeptPushes
from cometify.engine.redis import unavailable
from cometify.engine.redis.read_batch import MOST_IDENTIFIERS, MOST_JOINS
from cometify.engine.redis.refused_joins import RefusedJoins
from cometify.membership.waiting_joins import TOO_LONG, TOO_LONG_FOR_ALL
from cometify.transports import websocket
from cometify.transports.listen_pace import MOST_NAMED
from tests.contract.support import kinds, positions, texts
from tests.delivery.loop import Loop
from tests.engine.redis.nodes import joined
from tests.memory import World
from tests.wire import API_KEY, API_SECRET, request_bytes

MANY = 3 * MOST_JOINS + 7


def ask(world, query, many=MANY):
    """Listeners that have just asked to join, from an address each."""
    wires = []
    for number in range(many):
        wire = world.connect(f"10.1.{number // 250}.{number % 250}")
        wire.transport.protocol.dataReceived(request_bytes("GET", f"/{API_KEY}/stream?{query}", None, {}))
        wires.append(wire)
    return wires


def steps_of_joining(world, many=MANY):
    """Turn until so many have joined, and yield how many have joined in each turn."""
    count = world.server.membership.joined
    begun = count.total()
    for _ in range(200):
        before = count.total()
        world.reactor.advance(0)
        world.reactor.pump()
        yield count.total() - before
        if count.total() == begun + many:
            return
    raise AssertionError("not all have joined")


@pytest.mark.parametrize("is_followed", [False, True])
def test_joins_after_a_shared_read_go_in_bounded_steps(nodes, is_followed):
    first, _second = nodes
    if is_followed:
        joined(first.websocket("identifiers=chat"))
    ask(first, "identifiers=chat")
    steps = list(steps_of_joining(first))
    assert max(steps) < MANY  # a step of a test has all turns that are due at once
    assert sum(steps) == MANY


def test_joins_of_many_identifiers_share_a_read_with_few(nodes):
    first, _second = nodes
    wires = ask(first, "identifiers=" + ",".join(f"n{number}" for number in range(100)), 10)
    steps = list(steps_of_joining(first, 10))
    assert max(steps) <= MOST_IDENTIFIERS // 100
    assert sum(steps) == 10
    nodes.settle()
    assert all(kinds(wire.frames())[0] == "ready" for wire in wires)


def test_peer_is_not_read_while_many_names_wait_for_redis(nodes):
    first, _second = nodes
    wire = first.websocket()
    groups = [{"identifiers": [f"n{number}" for number in range(100)]} for _ in range(5)]
    frame = wire.listen_frame(*groups)
    for _ in range(MOST_NAMED // 500):
        wire.transport.protocol.dataReceived(frame)
        assert wire.transport.producerState == "producing"
    wire.transport.protocol.dataReceived(frame)
    assert wire.transport.producerState == "paused"
    nodes.settle()
    assert wire.transport.producerState == "producing"
    answers = [frame for frame in wire.frames() if frame["type"] == "ready"]
    assert [len(answer["positions"]) for answer in answers] == [5] * (MOST_NAMED // 500 + 1)


def test_peer_is_read_again_if_its_frames_are_refused(nodes):
    first, _second = nodes
    wire = first.websocket()
    groups = [{"identifiers": [f"n{number}" for number in range(100)]} for _ in range(10)]
    for _ in range(4):
        wire.transport.protocol.dataReceived(wire.listen_frame(*groups))
    assert wire.transport.producerState == "paused"
    nodes.cut(first)
    assert wire.transport.producerState == "producing", "it must be able to answer the close frame"


def test_frame_that_waits_for_redis_is_looked_at_once(nodes, monkeypatch):
    looked_at = []
    monkeypatch.setattr(websocket, "check_names", lambda _account, names: looked_at.append(names))
    first, _second = nodes
    wire = first.websocket()
    for number in range(20):
        wire.transport.protocol.dataReceived(wire.listen_frame({"identifiers": f"n{number}"}))
    nodes.settle()
    assert kinds(wire.frames()).count("ready") == 20
    assert [list(names) for names in looked_at] == [[f"n{number}"] for number in range(1, 20)]


def test_pushes_between_the_steps_reach_each_listener_once(nodes):
    first, second = nodes
    made = {second.pushed("chat", "before"): "before"}
    since = first.clock() - 5_000_000
    wires = ask(first, f"identifiers=chat&position={since}")
    fresh = ask(first, "identifiers=chat")
    for step, _joined in enumerate(steps_of_joining(first, 2 * MANY)):
        made[second.pushed("chat", str(step))] = str(step)
    nodes.settle()
    nodes.advance(1)
    for wire in wires:
        assert texts(wire.frames()) == list(made.values())
    for wire in fresh:
        ready, *frames = wire.frames()
        began = ready["positions"][0] if "positions" in ready else ready["position"]
        assert positions(frames) == [position for position in made if position > began]


def test_listeners_are_all_answered_when_redis_goes_away(nodes):
    first, _second = nodes
    wires = ask(first, "identifiers=chat")
    first.reactor.advance(0)
    first.reactor.pump()
    nodes.cut(first)
    for wire in wires:
        assert wire.head[0] == 503 or kinds(wire.frames())[0] == "ready"


def test_joins_are_refused_in_bounded_steps():
    loop, told = Loop(), []
    refused_joins = RefusedJoins(loop.later)
    waiting = [Deferred() for _ in range(2 * MOST_JOINS + 1)]
    for number, followed in enumerate(waiting):
        followed.addErrback(lambda failure, number=number: told.append((number, failure.value.code.name)))
    followers = [(dict, (), followed) for followed in waiting]
    refused_joins.add(followers[:-1], unavailable.not_followed)
    refused_joins.add(followers[-1:], unavailable.not_followed)
    steps = [len(told)]
    while loop.due:
        before = len(told)
        loop.turn()
        steps.append(len(told) - before)
    assert steps == [MOST_JOINS, MOST_JOINS, 1]
    assert told == [(number, "engine_unavailable") for number in range(len(waiting))]


def test_pushes_that_were_read_are_put_into_a_ring_at_once(nodes, monkeypatch):
    """A page can join 100 identifiers with 1,000 pushes each in one step. Putting them one by one took 80 ms."""
    first, second = nodes
    made = [f"text {number}" for number in range(150)]
    for text in made:
        second.pushed("chat", text)
    appended, append = [], KeptPushes.append
    monkeypatch.setattr(KeptPushes, "append", lambda *given: appended.append(given) or append(*given))
    wire = first.websocket("identifiers=chat:0")
    nodes.settle()
    assert texts(wire.frames()) == made
    assert appended == []


def test_address_whose_joins_wait_is_refused_first(nodes):
    first, _second = nodes
    waiting = ask(first, "identifiers=chat")
    first.reactor.advance(TOO_LONG + 0.1)  # Redis answers nothing meanwhile
    (again, *_others) = ask(first, "identifiers=news")
    assert b"overloaded" in again.transport.value()
    honest = first.connect("10.2.0.1")
    honest.transport.protocol.dataReceived(request_bytes("GET", f"/{API_KEY}/stream?identifiers=chat", None, {}))
    assert not honest.transport.value()
    assert sum(steps_of_joining(first, len(waiting) + 1)) == len(waiting) + 1
    assert b"overloaded" not in honest.transport.value()
    (later, *_others) = ask(first, "identifiers=chat")
    assert not later.transport.value()


def test_joins_of_one_account_are_no_reason_to_refuse_those_of_another(own_redis):
    accounts = Account(API_KEY, (API_SECRET,)), Account("other", ("of another account",))
    world = World(*accounts)
    waiting = ask(world, "identifiers=chat")
    world.reactor.advance(TOO_LONG_FOR_ALL + 0.1)  # Redis answers nothing meanwhile
    wires = []
    for account in accounts:
        wire = world.connect("10.2.0.1")
        wire.transport.protocol.dataReceived(
            request_bytes("GET", f"/{account.api_key}/stream?identifiers=chat", None, {})
        )
        wires.append(wire)
    refused, other = wires
    assert b"overloaded" in refused.transport.value()
    assert sum(steps_of_joining(world, len(waiting) + 1)) == len(waiting) + 1
    assert kinds(other.frames()) == ["ready", "heartbeat"]


def test_newcomer_is_refused_while_others_wait_for_too_long(nodes):
    first, _second = nodes
    waiting = ask(first, "identifiers=chat")
    first.reactor.advance(TOO_LONG_FOR_ALL + 0.1)  # Redis answers nothing meanwhile
    (newcomer, *_others) = ask(first, "identifiers=news")
    assert b"overloaded" in newcomer.transport.value()
    assert b"Retry-After: 1" in newcomer.transport.value()
    assert sum(steps_of_joining(first)) == len(waiting)
    later = first.connect("10.2.0.1")
    later.transport.protocol.dataReceived(request_bytes("GET", f"/{API_KEY}/stream?identifiers=chat", None, {}))
    assert sum(steps_of_joining(first, 1)) == 1
