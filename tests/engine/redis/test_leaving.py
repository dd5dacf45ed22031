"""Listeners that go at the wrong moment: while they join, or while Redis is away."""

import pytest

from tests.contract.support import code_of, kinds, texts
from tests.engine.redis.nodes import joined
from tests.memory import World
from tests.wire import API_KEY, form, request_bytes, secure

PLACES = f"cometify:{{{API_KEY}}}:l:10.0.0.1"


def half_joined(world, transport, query, turns):
    """A listener that has asked, for which so many turns have passed."""
    wire = world.connect()
    wire.transport.protocol.dataReceived(request_bytes("GET", f"/{API_KEY}/{transport}?{query}"))
    for _ in range(turns):
        world.reactor.advance(0)
        world.reactor.pump()
    return wire


@pytest.mark.parametrize("transport", ["stream", "events", "poll"])
@pytest.mark.parametrize("turns", range(4))
def test_who_goes_while_joining_takes_nothing_from_those_who_are_there(nodes, transport, turns):
    first, second = nodes
    stays = joined(first.websocket("identifiers=chat"))
    half_joined(first, transport, "identifiers=chat", turns).lose()
    nodes.advance(90, step=1)
    second.pushed("chat", "still here")
    nodes.settle()
    assert texts(stays.frames()) == ["still here"]


def test_who_leaves_while_redis_is_away_leaves_no_place_behind(nodes):
    first, second = nodes
    wires = [first.websocket(f"identifiers=chat&listener=listener-{number}") for number in range(30)]
    assert nodes.command("HLEN", PLACES) == 30
    nodes.cut(first)
    for wire in wires:
        wire.lose()
    nodes.find()
    nodes.settle()
    assert nodes.command("HLEN", PLACES) == 0
    assert kinds(second.websocket("identifiers=chat").frames()) == ["ready", "heartbeat"]


def test_who_comes_again_before_its_leaving_was_said_keeps_its_place(nodes):
    first, _second = nodes
    first.websocket("identifiers=chat&listener=listener-1").lose()
    wire = first.websocket("identifiers=chat&listener=listener-1")
    nodes.cut(first)
    nodes.find()
    nodes.settle()
    assert nodes.command("HKEYS", PLACES) == [b"listener-1"]
    assert "error" not in kinds(wire.frames())


@pytest.mark.parametrize("turns", range(1, 4))
def test_a_poll_that_was_replaced_while_it_joined_is_answered_once(nodes, turns):
    first, _second = nodes
    query = "identifiers=chat&listener=listener-1"
    one = half_joined(first, "poll", query, turns)
    if one.answered:
        return
    two = half_joined(first, "poll", query, 0)
    nodes.cut(first)
    assert code_of(one.answer()) in ("replaced", "engine_unavailable")  # which fails where more came than one answer
    assert code_of(two.answer()) == "engine_unavailable"


def test_pushes_that_wait_for_replicas_do_not_gather_without_end(nodes):
    world = World(beside=nodes[0], redis_wait=1)
    nodes.worlds.append(world)
    nodes.find()
    unsaid = f"cometify:{{{API_KEY}}}:unsaid"
    nodes.command("RPUSH", unsaid, *["x"] * 10_000)

    def push():
        fields = {"text": "one", "secret": "0", "secure": secure("chat", "one")}
        return world.request(
            "POST", f"/{API_KEY}/push/chat", form(fields), Content_Type="application/x-www-form-urlencoded"
        )

    answer = push().answer()
    assert (answer.status, code_of(answer)) == (503, "overloaded")
    assert nodes.command("LLEN", unsaid) == 10_000
    nodes.command("DEL", unsaid)
    assert not push().answered  # it waits for the replicas
    assert nodes.command("LLEN", unsaid) == 1
