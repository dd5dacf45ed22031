"""Listeners that leave at a bad moment: while they join, or while Redis is away."""

import re

import pytest

from cometify.engine import UNFOLLOW_DELAY
from tests.contract.support import code_of, kinds, texts
from tests.engine.redis.nodes import half_joined, joined
from tests.memory import World
from tests.wire import API_KEY, eventually, form, secure

SLOTS = f"cometify:{{{API_KEY}}}:l:10.0.0.1"


@pytest.mark.parametrize("transport", ["stream", "events", "poll"])
@pytest.mark.parametrize("turns", range(3))
def test_listener_that_leaves_while_joining_harms_no_other(nodes, transport, turns):
    first, second = nodes
    stays = joined(first.websocket("identifiers=chat"))
    half_joined(first, transport, "identifiers=chat", turns).lose()
    nodes.advance(90, step=1)
    second.pushed("chat", "still here")
    nodes.settle()
    assert texts(stays.frames()) == ["still here"]


def test_slot_given_up_while_redis_is_away_is_freed_later(nodes):
    first, second = nodes
    wires = [first.websocket(f"identifiers=chat&listener=listener-{number}") for number in range(30)]
    assert nodes.command("HLEN", SLOTS) == 30
    nodes.cut(first)
    for wire in wires:
        wire.lose()
    nodes.find()
    nodes.settle()
    assert nodes.command("HLEN", SLOTS) == 0
    assert kinds(second.websocket("identifiers=chat").frames()) == ["ready", "heartbeat"]


def test_listener_back_before_its_leave_was_sent_keeps_slot(nodes):
    first, _second = nodes
    first.websocket("identifiers=chat&listener=listener-1").lose()
    wire = first.websocket("identifiers=chat&listener=listener-1")
    nodes.cut(first)
    nodes.find()
    nodes.settle()
    assert nodes.command("HKEYS", SLOTS) == [b"listener-1"]
    assert "error" not in kinds(wire.frames())


def unsubscribes(nodes):
    found = re.search(r"cmdstat_unsubscribe:calls=(\d+)", nodes.command("INFO", "commandstats").decode())
    return int(found[1]) if found else 0


def test_identifiers_left_together_are_unsubscribed_together(nodes):
    first, _second = nodes
    wires = [joined(first.websocket(f"identifiers=own{number}", host=f"10.1.0.{number}")) for number in range(120)]
    assert len(nodes.command("PUBSUB", "CHANNELS", "*own*")) == 120
    before = unsubscribes(nodes)
    for wire in wires:
        wire.lose()
    nodes.advance(UNFOLLOW_DELAY + 12, step=2)
    assert nodes.command("KEYS", f"cometify:{{{API_KEY}}}:l:10.1.*") == []
    assert nodes.command("PUBSUB", "CHANNELS", "*own*") == []
    assert unsubscribes(nodes) == before + 2


@pytest.mark.parametrize("turns", range(1, 4))
def test_poll_replaced_while_joining_is_answered_once(nodes, turns):
    first, _second = nodes
    query = "identifiers=chat&listener=listener-1"
    one = half_joined(first, "poll", query, turns)
    two = half_joined(first, "poll", query, 0)
    nodes.cut(first)
    assert code_of(one.answer()) in ("replaced", "engine_unavailable")  # fails if more than one answer came
    assert code_of(two.answer()) == "engine_unavailable"


def test_unconfirmed_pushes_are_bounded(nodes):
    world = World(beside=nodes[0], redis_wait=1)
    nodes.worlds.append(world)
    nodes.find()
    unconfirmed = f"cometify:{{{API_KEY}}}:unsaid"
    nodes.command("RPUSH", unconfirmed, *["x"] * 10_000)

    def push():
        fields = {"text": "one", "secret": "0", "secure": secure("chat", "one")}
        return world.request(
            "POST", f"/{API_KEY}/push/chat", form(fields), Content_Type="application/x-www-form-urlencoded"
        )

    refused = push()
    eventually(lambda: nodes.advance(0.1) or refused.answered)  # behind a WAIT of half a second
    answer = refused.answer()
    assert (answer.status, code_of(answer)) == (503, "overloaded")
    assert nodes.command("LLEN", unconfirmed) == 10_000
    nodes.command("DEL", unconfirmed)
    waits = push()
    eventually(lambda: nodes.advance(0.1) or nodes.command("LLEN", unconfirmed) == 1)
    assert not waits.answered  # it waits for the replicas
