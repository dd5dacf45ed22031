"""An account that is suspended: nothing is served to it, and nothing of it is lost."""

import attrs
import pytest

from cometify.config.settings import Settings
from cometify.core.account import Account
from tests.contract.support import (
    API_KEY,
    OPEN,
    TRANSPORTS,
    by_query,
    code_of,
    fields,
    kinds,
    push_fields,
    refusal,
    texts,
)
from tests.memory import World
from tests.wire import API_SECRET, secure

MINE = Account(API_KEY, (API_SECRET,))
OTHER = Account("other", (API_SECRET,))
SUSPENDED = ("account_suspended", 429)


def suspend(world, *, again=False):
    world.server.change_accounts(Settings((attrs.evolve(MINE, suspended=not again), OTHER)))
    world.settle()


def test_push_to_a_suspended_account_is_refused():
    world = World(MINE, OTHER)
    suspend(world)
    answer = world.push("chat", "x")
    assert (code_of(answer), answer.status) == SUSPENDED
    assert answer.headers["retry-after"] == "300"
    assert "operator" in answer.json["detail"]
    assert world.push("chat", "x", key="other").status == 200


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_join_to_a_suspended_account_may_come_again(transport):
    world = World(MINE, OTHER)
    suspend(world)
    told = {"websocket": ("account_suspended", 4102), "events": ("account_suspended", 200)}
    assert refusal(by_query(world, transport, "identifiers=chat")) == told.get(transport, SUSPENDED)
    assert kinds(by_query(world, "stream", "identifiers=chat", key="other").frames()) == ["ready", "heartbeat"]


@pytest.mark.parametrize("transport", OPEN)
def test_listener_is_told_that_its_account_was_suspended(transport):
    world = World(MINE, OTHER, heartbeat=200)
    mine, other = [by_query(world, transport, "identifiers=chat", key=key) for key in (API_KEY, "other")]
    mine.frames(), other.frames()
    suspend(world)
    error, *rest = mine.frames()
    assert (error["code"], error["retry"]) == ("account_suspended", 300)
    assert [frame["code"] for frame in rest if "code" in frame] == ([4102] if transport == "websocket" else [])
    assert other.frames() == []


def test_waiting_poll_and_the_next_one_are_told():
    world = World(MINE, OTHER, heartbeat=200)
    wire = world.poll(f"identifiers=chat&position={world.clock()}")
    suspend(world)
    assert wire.frames()[-1]["code"] == "account_suspended"
    assert refusal(world.poll("identifiers=chat")) == SUSPENDED


def test_what_was_kept_is_there_when_the_account_goes_on():
    world = World(MINE, OTHER)
    position = world.clock() - 1
    world.pushed("chat", "kept")
    suspend(world)
    suspend(world, again=True)
    assert texts(world.stream(f"identifiers=chat&position={position}").frames()) == ["kept"]
    assert world.push("chat", "x").status == 200


def test_back_end_of_a_suspended_account_is_refused(world):
    suspend(world)
    for path in ("position", "identifiers"):
        answer = world.request(
            "GET", f"/{API_KEY}/{path}", host="127.0.0.1", Authorization=f"Bearer {API_SECRET}"
        ).answer()
        assert (code_of(answer), answer.status) == SUSPENDED


def test_wrong_signature_learns_no_more_than_a_right_one(world):
    suspend(world)
    right, wrong = [
        push_fields(world, "chat", fields("chat", "x", secure=one)) for one in (secure("chat", "x"), "0" * 32)
    ]
    assert (right.status, right.body) == (wrong.status, wrong.body)
