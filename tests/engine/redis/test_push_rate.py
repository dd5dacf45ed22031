"""`pushes_per_second` over two nodes of one Redis: exact, because Redis counts in the step that keeps the push."""

import random
from fractions import Fraction

import pytest

from cometify.core.account import Account
from tests.contract.support import FORM
from tests.engine.redis.nodes import Nodes
from tests.memory import World
from tests.wire import API_KEY, API_SECRET, form, request_bytes, secure

SECOND = 1_000_000
ALMOST = SECOND // 7 + 1
"""A pause after which there is room again, or nearly, at seven pushes a second."""


@pytest.fixture
def limited_nodes(moved_redis):
    World.redis = moved_redis
    nodes = Nodes(World(Account(API_KEY, (API_SECRET,), pushes_per_second=7, push_burst=5)), 2)
    yield nodes
    nodes.redis.close()
    World.end_all()
    moved_redis.command("FLUSHALL")


def pass_exactly(nodes, microseconds):
    """Let time pass without a turn of any timer, so that no node loses its session."""
    for world in nodes:
        world.skew += microseconds
    nodes.settle()


def push_request(number):
    text = f"{number}"
    body = form({"text": text, "secret": "0", "secure": secure("chat", text)})
    return request_bytes("POST", f"/{API_KEY}/push/chat", body, {"Content-Type": FORM})


@pytest.mark.parametrize("seed", range(5))
def test_two_nodes_together_get_exactly_the_rate(limited_nodes, seed):
    """The reference counts free places as fractions, over both nodes."""
    chance = random.Random(seed)
    free, refused, accepted = Fraction(5), 0, []
    for _ in range(120):
        pause = chance.choice([0, 0, 0, ALMOST - 1, ALMOST, chance.randrange(SECOND)])
        pass_exactly(limited_nodes, pause)
        free = min(Fraction(5), free + Fraction(pause * 7, SECOND))
        answer = chance.choice(limited_nodes.worlds).push("chat", "x")
        assert answer.status == (200 if free >= 1 else 429), answer
        if answer.status == 200:
            free -= 1
            accepted.append(limited_nodes[0].clock())
        else:
            refused += 1
    assert refused > 10, "the schedule was too easy"
    for first, began in enumerate(accepted):
        for count, at in enumerate(accepted[first:], 1):
            assert count <= 5 + Fraction((at - began) * 7, SECOND)


def test_pushes_sent_to_both_nodes_at_once_share_the_burst(limited_nodes):
    wires = []
    for number in range(10):
        wire = limited_nodes[number % 2].connect()
        wire.transport.protocol.dataReceived(push_request(number))
        wires.append(wire)
    limited_nodes.settle()
    assert sorted(wire.answer().status for wire in wires) == [200] * 5 + [429] * 5
