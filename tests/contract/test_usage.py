"""Section 8: a back end asks for the usage of its account, by this hour and the last 31 days."""

import pytest

from cometify.core.account import Account
from tests.contract.support import API_KEY, API_SECRET, SECOND, TRANSPORTS, by_query, code_of, fields, push_fields
from tests.memory import World
from tests.wire import request_bytes, seal

BEARER = {"Authorization": f"Bearer {API_SECRET}"}
ZEROS = {
    "pushes": 0, "push_bytes": 0, "deliveries": 0, "delivered_bytes": 0, "gaps": 0, "most_listeners": 0, "refused": {},
}  # fmt: skip
REPORTED = 6
"""Seconds after which each node has written what it has counted."""


def send(world, headers=BEARER, key=API_KEY, query=""):
    wire = world.connect("127.0.0.1")
    wire.receive(request_bytes("GET", f"/{key}/usage{query}", None, headers))
    return wire.answer()


def ask(world, **more):
    world.advance(REPORTED)
    answer = send(world, **more)
    assert answer.status == 200, answer
    return answer.json


@pytest.fixture
def began(world):
    """The usage when the test begins. With Redis each account begins with a push."""
    return ask(world)["days"][0]


def forward(world, days):
    """Put the engine's clock forward."""
    world.skew += days * 86_400 * SECOND
    world._tell_time()


def grown(world, began):
    """The figures of today that have grown."""
    today = ask(world)["days"][0]
    return {name: today[name] - began[name] for name in ZEROS if name != "refused" and today[name] != began[name]}


def test_unused_account_is_told_with_zeros():
    world = World(Account(API_KEY, (API_SECRET,)), Account("other", (API_SECRET,)))
    world.pushed("chat", "x")
    told = ask(world, key="other")
    days = [{key: value for key, value in day.items() if key != "begins"} for day in told["days"]]
    # With Redis the first push of a world begins its memory.
    assert (told["listeners"], days[0] | {"pushes": 0}, days[1:]) == (0, ZEROS, [ZEROS] * 30)


def test_days_and_hours_begin_by_utc(world):
    told = ask(world)
    # START is 2025-11-24T16:00:00Z, and a world begins an hour later.
    assert told["hour"]["begins"] == "2025-11-24T17:00:00Z"
    assert [day["begins"] for day in told["days"][:2]] == ["2025-11-24T00:00:00Z", "2025-11-23T00:00:00Z"]
    assert told["days"][30]["begins"] == "2025-10-25T00:00:00Z"


def test_pushes_deliveries_and_listeners_are_told(world, began):
    for transport in TRANSPORTS[:3]:
        by_query(world, transport, "identifiers=chat")
    world.advance(1)
    world.pushed("chat", "é" * 5)
    world.pushed("news", "x")
    found = grown(world, began)
    assert found.pop("delivered_bytes") > 3 * 60
    assert found == {"pushes": 2, "push_bytes": 11, "deliveries": 3, "most_listeners": 3}
    assert ask(world)["listeners"] == 3


def test_most_listeners_stay_told_when_they_are_gone(world):
    wires = [by_query(world, "stream", "identifiers=chat") for _ in range(4)]
    world.advance(REPORTED)
    for wire in wires[:3]:
        wire.lose()
    told = ask(world)
    assert (told["listeners"], told["hour"]["most_listeners"]) == (1, 4)


def test_refusals_are_told_by_code(world):
    push_fields(world, "chat", fields("chat", "x", secure="0" * 32))
    by_query(world, "stream", "identifiers=a!b")
    by_query(world, "websocket", "identifiers=a!b")
    assert ask(world)["hour"]["refused"] == {"not_authorized": 1, "invalid_identifier": 2}


def test_hour_begins_again_and_the_day_goes_on(world):
    pushes = ask(world)["hour"]["pushes"]
    world.pushed("chat", "x")
    told = ask(world)
    assert (told["hour"]["pushes"], told["days"][0]["pushes"]) == (pushes + 1, pushes + 1)
    world._pass(3600)
    told = ask(world)
    assert told["hour"] == {"begins": "2025-11-24T18:00:00Z", **ZEROS}
    assert told["days"][0]["pushes"] == pushes + 1


def test_yesterday_becomes_the_second_day(world):
    listener = by_query(world, "stream", "identifiers=chat")
    pushes = ask(world)["days"][0]["pushes"]
    world.pushed("chat", "x")
    listener.lose()
    world.advance(REPORTED)
    forward(world, 1)
    told = ask(world)
    assert [day["pushes"] for day in told["days"][:3]] == [0, pushes + 1, 0]
    assert told["days"][1]["most_listeners"] == 1
    forward(world, 30)
    assert [day["pushes"] for day in ask(world)["days"]] == [0] * 31


def test_usage_is_signed_like_other_questions(world):
    assert code_of(send(world, {})) == "missing_parameter"
    assert code_of(send(world, {"Authorization": "Bearer guessed"})) == "not_authorized"
    assert code_of(send(world, key="unknown")) == "not_authorized"
    signed = seal(f"/{API_KEY}/usage", b"", world.wall(), "a-nonce-of-24-characters", method="GET")
    assert send(world, signed).status == 200
    assert code_of(send(world, signed)) == "nonce_reused"
    assert code_of(send(world, query="?days=3")) == "unknown_parameter"
    wire = world.connect("127.0.0.1")
    wire.receive(request_bytes("POST", f"/{API_KEY}/usage", b"", BEARER))
    assert code_of(wire.answer()) == "method_not_allowed"


def test_usage_has_no_cors_and_is_not_stored(world):
    answer = send(world)
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers
