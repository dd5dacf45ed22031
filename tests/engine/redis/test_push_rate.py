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
        world.reactor.rightNow += microseconds / SECOND
    nodes.settle()


def limit(nodes, rate, burst):
    """Change the limit of the account."""
    for world in nodes:
        world.server.accounts.replace((Account(API_KEY, (API_SECRET,), pushes_per_second=rate, push_burst=burst),))
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


def evaluated(nodes):
    """The scripts that Redis has run."""
    stats = nodes.redis.command("INFO", "commandstats").decode()
    return sum(int(line.partition("calls=")[2].partition(",")[0]) for line in stats.splitlines() if "_eval" in line)


def refused_without_redis(nodes, world):
    """Push once. Returns True if it was refused and Redis was not asked."""
    before = evaluated(nodes)
    answer = world.push("chat", "flood")
    return answer.status == 429 and evaluated(nodes) == before


def test_redis_is_not_asked_again_before_the_wait_is_over(limited_nodes):
    world, other = limited_nodes
    for number in range(5):
        assert world.push("chat", f"{number}").status == 200
    assert not refused_without_redis(limited_nodes, world)  # It does not know yet.
    assert refused_without_redis(limited_nodes, world)
    assert not refused_without_redis(limited_nodes, other)
    pass_exactly(limited_nodes, ALMOST)
    assert world.push("chat", "now").status == 200


def test_answer_that_was_given_is_given_again_during_a_wait(limited_nodes):
    world, _other = limited_nodes
    fields = form({"text": "once", "secret": "0", "secure": secure("chat", "once")})

    def push_with_key():
        path = f"/{API_KEY}/push/chat"
        return world.request("POST", path, fields, Content_Type=FORM, Idempotency_Key="a").answer()

    first = push_with_key()
    assert first.status == 200
    while world.push("chat", "flood").status == 200:
        pass
    assert refused_without_redis(limited_nodes, world)
    again = push_with_key()
    assert (again.status, again.json["duplicate"]) == (200, True)


def test_wait_is_forgotten_soon_because_redis_may_be_emptied(limited_nodes):
    world, _other = limited_nodes
    limit(limited_nodes, 1000, 300)
    for number in range(300):
        assert world.push("chat", f"{number}").status == 200
    limit(limited_nodes, 1, 1)
    assert world.push("chat", "x").json["detail"].startswith("This account may push 1 times a second")
    limited_nodes.command("FLUSHDB")
    pass_exactly(limited_nodes, SECOND)
    assert world.push("chat", "y").status == 200


def test_wait_of_an_old_limit_does_not_hold_for_the_new_one(limited_nodes):
    world, _other = limited_nodes
    limit(limited_nodes, 1, 1)
    assert world.push("chat", "x").status == 200
    wires = [world.connect() for _ in range(2)]
    wires[0].transport.protocol.dataReceived(push_request(1))
    # Redis is being asked under the old limit. The second push waits, and comes under the new one.
    world.server.accounts.replace((Account(API_KEY, (API_SECRET,)),))
    wires[1].transport.protocol.dataReceived(push_request(2))
    limited_nodes.settle()
    assert [wire.answer().status for wire in wires] == [429, 200]
    assert world.push("chat", "y").status == 200
