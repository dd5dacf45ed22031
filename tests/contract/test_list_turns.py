"""Lists of an account wait for their turns, so that nobody else waits for all of them."""

import json

import pytest

from cometify.core.account import Account
from cometify.runtime.epoll_loop import LoopHooks
from cometify.transports.list_turns import MOST_OF_ACCOUNT, MOST_UNREAD, MOST_WAITING
from tests.contract.support import API_KEY, API_SECRET, code_of
from tests.contract.test_lists import BEARER
from tests.delivery.loop import Loop
from tests.memory import World
from tests.wire import request_bytes

OTHER = "other"
ACCOUNTS = Account(API_KEY, (API_SECRET,)), Account(OTHER, (API_SECRET,))
PATH = "/chat/pushes?limit=1000"
MEBIBYTE = 2**20


def fill(world, many, size, key=API_KEY):
    """Push so many texts, half of them secret."""
    for first in range(0, many, 50):
        numbers = range(first, min(many, first + 50))
        batch = [{"identifier": "chat", "text": f"{n:05}" + "x" * size, "secret": n % 2} for n in numbers]
        wire = world.connect("127.0.0.1")
        body = json.dumps(batch).encode()
        wire.receive(request_bytes("POST", f"/{key}/push", body, {**BEARER, "Content-Type": "application/json"}))
        assert wire.answer().status == 200


def begin(world, path=PATH, key=API_KEY, **headers):
    """Send a question, and let nothing happen yet."""
    wire = world.connect("127.0.0.1")
    request = request_bytes("GET", f"/{key}/identifiers{path}", None, {**BEARER, **headers})
    wire.transport.protocol.dataReceived(request)
    return wire


def begin_push(world, key):
    wire = world.connect("127.0.0.1")
    body = b'{"text":"x","secret":0}'
    headers = {**BEARER, "Content-Type": "application/json"}
    wire.transport.protocol.dataReceived(request_bytes("POST", f"/{key}/push/chat", body, headers))
    return wire


def turn(world):
    """Make a turn of the event loop."""
    world.reactor.advance(0)
    for transport in list(world.reactor.writers):
        transport.turn()
    if world.redis is not None:
        world.reactor.pump()


def answered(wires):
    return sum(wire.answered for wire in wires)


def test_lists_and_pushes_of_others_wait_for_a_few_lists(engine):
    world = World(*ACCOUNTS)
    fill(world, 300, 100)
    fill(world, 300, 100, OTHER)
    flood = [begin(world) for _ in range(150)]
    for _ in range(1000):
        if answered(flood):
            break
        turn(world)
    before = answered(flood)
    others, push = begin(world, key=OTHER), begin_push(world, OTHER)
    for _ in range(1000):
        if others.answered and push.answered:
            break
        turn(world)
    assert answered(flood) - before <= 8
    world.settle()
    assert answered(flood) == len(flood)
    assert {len(wire.answer().json["pushes"]) for wire in flood} == {300}
    assert len(others.answer().json["pushes"]) in (300, 301)
    assert push.answer().status == 200


@pytest.mark.memory("Redis answers in its own time")
def test_accounts_have_their_lists_answered_by_turns():
    loop = Loop()
    world = World(*ACCOUNTS, loop_hooks=LoopHooks(loop.later))
    flood = [begin(world) for _ in range(100)]
    loop.turn()
    others = [begin(world, key=OTHER) for _ in range(3)]
    for _ in range(6):
        loop.turn()
    assert (answered(others), answered(flood)) == (3, 4)
    assert loop.turns() == 96


def test_list_too_many_is_refused(world):
    waiting = [begin(world) for _ in range(MOST_WAITING)]
    answer = begin(world).answer()
    assert (answer.status, code_of(answer), answer.headers["retry-after"]) == (503, "overloaded", "1")
    world.settle()
    assert {wire.answer().status for wire in waiting} == {200}
    assert 'cometify_lists_refused_total{code="overloaded"} 1.0' in world.admin("GET", "/metrics").body.decode()


@pytest.mark.parametrize("many", [10, MOST_WAITING])
def test_list_whose_peer_has_left_is_not_asked(world, many):
    gone = [begin(world) for _ in range(many)]
    for wire in gone:
        wire.transport.lose()
    there = begin(world)
    world.settle()
    assert there.answer().status == 200
    assert "cometify_lists_answered_total 1.0" in world.admin("GET", "/metrics").body.decode()


@pytest.mark.memory("the transport of production tells what it holds")
@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}])
@pytest.mark.parametrize("path", [PATH, PATH.replace("chat", "%63hat")], ids=["plain", "twisted"])
def test_unread_lists_of_an_account_are_bounded(path, headers):
    world = World(*ACCOUNTS)
    fill(world, 400, 4000)
    wires = []
    for _ in range(40):
        wires.append(begin(world, path, **headers))
        wires[-1].stop_reading()
    world.settle()
    unread = sum(wire.transport.unsent for wire in wires)
    assert MOST_UNREAD <= unread <= MOST_UNREAD + MOST_OF_ACCOUNT * MEBIBYTE + 40 * 1024
    assert begin_push(world, API_KEY).answered
    others = begin(world, key=OTHER)
    world.settle()
    assert others.answer().status == 200
    gone = [wire for wire in wires if wire.transport.unsent][:4]
    for wire in gone:
        wire.lose()
    left = [wire for wire in wires if wire not in gone]
    for _ in range(10):
        for wire in left:
            wire.read_again()
    assert {wire.answer().status for wire in left} == {200}
    for wire in left:
        wire.lose()
    again = begin(world)
    world.settle()
    assert again.answer().status == 200
