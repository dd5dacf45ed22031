"""Pushes whose publishers leave before Redis answers, and those that wait for it in great number."""

import tracemalloc
from collections.abc import Iterator

import pytest

from cometify.core.account import Account
from cometify.engine.redis.push_queue import MOST_UNANSWERED
from tests.contract.support import code_of
from tests.memory import Wire, World
from tests.wire import form, request_bytes, secure

MIB = 2**20
TEXT = "x" * 65_000
HALF = MOST_UNANSWERED // 2 // len(TEXT)
"""Pushes of this text that an account alone may have without an answer, or a few less."""


@pytest.fixture
def world(moved_redis):
    """A node with three accounts."""
    World.redis = moved_redis
    yield World(*(Account(name, (f"{name}-secret",)) for name in ("flood", "other", "third")))
    World.end_all()
    moved_redis.command("FLUSHALL")


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def send(world: World, key: str, text: str = TEXT, padding: int = 0) -> Wire:
    """Send a push on a connection of its own. No answer of Redis is read yet."""
    fields: dict[str, str | bytes] = {"text": text, "secret": "0", "secure": secure("chat", text, key, f"{key}-secret")}
    wire = world.connect()
    body = form(fields | {"ignored": "x" * padding} if padding else fields)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    wire.transport.protocol.dataReceived(request_bytes("POST", f"/{key}/push/chat", body, kind))
    return wire


def send_and_leave(world: World, key: str, count: int, **more: int) -> None:
    for _ in range(count):
        wire = send(world, key, **more)
        world.reactor.advance(0)  # requests that twisted.web reads have a share of each turn
        wire.transport.lose()


def test_pushes_of_those_who_left_are_bounded_while_redis_does_not_answer(world, traced):
    present = [send(world, "flood") for _ in range(10)]
    send_and_leave(world, "flood", HALF * 2)
    push = world.server.push
    assert HALF * 0.99 <= push.under_way <= HALF
    assert push.under_way + push.refused["overloaded"] == HALF * 2 + 10
    assert tracemalloc.get_traced_memory()[0] < 2.2 * HALF * len(TEXT)
    refused = send(world, "flood").answer()
    assert (refused.status, code_of(refused), refused.headers["retry-after"]) == (503, "overloaded", "1")
    assert "nothing was pushed" in refused.json["detail"]
    other = send(world, "other")
    under_way = push.under_way
    world.settle()
    assert (push.accepted, push.under_way) == (under_way, 0)
    assert {wire.answer().status for wire in [*present, other]} == {200}
    send(world, "flood", "again")
    world.settle()
    assert push.accepted == under_way + 1
    assert tracemalloc.get_traced_memory()[0] < 10 * MIB


def test_room_is_bounded_for_all_accounts_together(world):
    for key in ("flood", "other", "third"):
        send_and_leave(world, key, HALF + 10)
    assert world.server.push.under_way * len(TEXT) <= MOST_UNANSWERED * 7 / 8


def test_pushes_that_fail_give_their_room_back(world):
    for _ in range(2):
        send_and_leave(world, "flood", HALF + 10)
        assert world.server.push.under_way >= HALF * 0.99
        for transport in list(world.reactor.transports):
            transport.lose()
        world.settle()
        assert world.server.push.under_way == 0
        for _ in range(20):
            world.reactor.advance(0.5)
            world.settle()
    assert world.server.engine.available


@pytest.mark.parametrize("padding", [60_000, 400_000])
def test_body_is_not_kept_while_its_push_waits(world, traced, padding):
    send_and_leave(world, "flood", 100, padding=padding)
    assert (world.server.push.under_way, world.server.push.refused) == (100, {})
    assert tracemalloc.get_traced_memory()[0] < 100 * len(TEXT) * 2 + 2 * MIB
