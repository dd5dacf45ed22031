"""Section 8: the quotas of an account, pushes a second and listeners in all."""

import json
from itertools import count

import attrs
import pytest

from cometify.core.account import Account
from tests.contract.support import (
    API_KEY,
    API_SECRET,
    FORM,
    SECOND,
    TRANSPORTS,
    by_query,
    code_of,
    fields,
    form,
    kinds,
    refusal,
    texts,
)
from tests.memory import World
from tests.wire import request_bytes, seal

nonces = (f"test-of-quotas-{number:06}" for number in count())


def limited(rate: int = 2, burst: int | None = 3, **more) -> World:
    return World(Account(API_KEY, (API_SECRET,), pushes_per_second=rate, push_burst=burst, **more))


def pass_exactly(world: World, microseconds: int) -> None:
    # The clock that measures durations goes on by a second at most, or Redis would be taken for lost.
    measured = min(microseconds, SECOND)
    world.reactor.rightNow += measured / SECOND
    world.skew += microseconds - measured
    world.settle()  # which tells Redis the time


def push_with_key(world: World, key: str):
    wire = world.request(
        "POST", f"/{API_KEY}/push/chat", form(fields("chat", "x")), Content_Type=FORM, Idempotency_Key=key
    )
    return wire.answer()


def batch(world: World, size: int, nonce: str | None = None):
    path = f"/{API_KEY}/push"
    body = json.dumps([{"identifier": "chat", "text": f"{number}", "secret": 0} for number in range(size)]).encode()
    sealed = seal(path, body, world.wall(), nonce or next(nonces))
    wire = world.connect()
    wire.receive(request_bytes("POST", path, body, sealed))
    return wire.answer()


def assert_refused(answer, seconds: int) -> None:
    assert (answer.status, code_of(answer)) == (429, "too_many_pushes")
    assert int(answer.headers["retry-after"]) == seconds
    assert "Nothing was pushed" in answer.json["detail"]
    assert "pushes_per_second" in answer.json["detail"]


# Pushes a second.


def test_push_above_the_burst_is_refused_and_reaches_nobody():
    world = limited()
    wire = world.stream("identifiers=chat")
    assert [world.push("chat", f"{number}").status for number in range(3)] == [200] * 3
    assert_refused(world.push("chat", "3"), 1)
    assert texts(wire.frames()) == ["0", "1", "2"]
    assert texts(world.stream("identifiers=chat:0").frames()) == ["0", "1", "2"]


def test_refused_push_is_taken_once_there_is_room():
    world = limited(rate=2, burst=3)
    while world.push("chat", "x").status == 200:
        pass
    pass_exactly(world, SECOND // 2 - 1)
    assert world.push("chat", "x").status == 429
    pass_exactly(world, 1)
    assert world.push("chat", "x").status == 200
    assert world.push("chat", "x").status == 429
    pass_exactly(world, 3600 * SECOND)
    assert [world.push("chat", "x").status for _ in range(4)] == [200] * 3 + [429], "an hour of quiet is one burst"


def test_retry_after_names_the_second_at_which_there_is_room():
    world = limited(rate=1, burst=100)
    assert batch(world, 100).status == 200
    assert_refused(batch(world, 7), 7)
    world.advance(6)
    assert_refused(batch(world, 7), 1)
    world.advance(1)
    assert batch(world, 7).status == 200


def test_account_without_the_setting_is_not_limited(world):
    assert {world.push("chat", "x").status for _ in range(300)} == {200}


def test_burst_is_by_default_a_second_and_at_least_a_batch():
    assert Account("1", ("s",), pushes_per_second=7).burst == 100
    assert Account("1", ("s",), pushes_per_second=700).burst == 700
    world = limited(rate=1, burst=None)
    assert batch(world, 100).status == 200
    assert world.push("chat", "x").status == 429


def test_limit_of_one_account_is_not_anothers():
    world = World(
        Account("1", (API_SECRET,), pushes_per_second=1, push_burst=1),
        Account("2", (API_SECRET,), pushes_per_second=1, push_burst=1),
    )
    assert [world.push("chat", "x", key=key).status for key in ("1", "1", "2", "2")] == [200, 429, 200, 429]


def test_repeat_of_an_accepted_push_costs_nothing():
    world = limited(rate=1, burst=2)
    first = push_with_key(world, "key")
    for _ in range(5):
        assert push_with_key(world, "key").json == {**first.json, "duplicate": True}
    assert world.push("chat", "y").status == 200
    assert world.push("chat", "y").status == 429
    assert push_with_key(world, "key").json == {**first.json, "duplicate": True}, "also when there is no room"


def test_refused_push_does_not_use_its_key_and_nonce():
    world = limited(rate=1, burst=1)
    assert world.push("chat", "x").status == 200
    path, body = f"/{API_KEY}/push/chat", form({"text": "sealed", "secret": "0"})
    headers = seal(path, body, world.wall(), next(nonces), kind=FORM, key="key")
    sealed = request_bytes("POST", path, body, headers)

    def send():
        wire = world.connect()
        wire.receive(sealed)
        return wire.answer()

    assert_refused(send(), 1)
    world.advance(1)
    answer = send()
    assert answer.status == 200, answer
    assert "duplicate" not in answer.json


def test_push_that_is_refused_otherwise_costs_nothing():
    world = limited(rate=1, burst=2)
    nonce = next(nonces)
    assert batch(world, 1, nonce).status == 200
    for _ in range(3):
        assert code_of(batch(world, 1, nonce)) == "nonce_reused"
    assert world.push("chat", "x").status == 200
    assert world.push("chat", "x").status == 429


def test_batch_costs_all_its_pushes_and_is_refused_whole():
    world = limited(rate=1, burst=5)
    wire = world.stream("identifiers=chat")
    assert batch(world, 3).status == 200
    assert_refused(batch(world, 3), 1)
    assert len(texts(wire.frames())) == 3
    assert batch(world, 2).status == 200
    assert_refused(batch(world, 1), 1)
    assert len(texts(wire.frames())) == 2


def test_repeat_of_an_accepted_batch_costs_nothing():
    world = limited(rate=1, burst=5)
    path = f"/{API_KEY}/push"
    body = json.dumps([{"identifier": "chat", "text": f"{number}", "secret": 0} for number in range(5)]).encode()
    sealed = request_bytes("POST", path, body, seal(path, body, world.wall(), next(nonces), key="key"))

    def send():
        wire = world.connect()
        wire.receive(sealed)
        return wire.answer()

    first = send()
    assert first.status == 200, first
    assert send().json == [{**one, "duplicate": True} for one in first.json]


def test_batch_above_the_burst_is_told_to_be_smaller():
    world = limited(rate=1000, burst=5)
    answer = batch(world, 6)
    assert (answer.status, code_of(answer)) == (400, "invalid_body")
    assert "retry-after" not in answer.headers, "waiting does not help"
    assert "push_burst" in answer.json["detail"]
    assert batch(world, 5).status == 200


@pytest.mark.parametrize("changes", [{"pushes_per_second": None, "push_burst": None}, {"push_burst": 50}])
def test_reload_changes_the_limit_at_once(changes):
    world = limited(rate=1, burst=1)
    assert [world.push("chat", "x").status for _ in range(2)] == [200, 429]
    (account,) = world.server.settings.accounts
    settings = attrs.evolve(world.server.settings, accounts=(attrs.evolve(account, **changes),))
    world.server.change_accounts(settings)
    assert world.push("chat", "x").status == 200


# Listeners in all.


def few_listeners(most: int = 2) -> World:
    return World(Account(API_KEY, (API_SECRET,), listeners=most))


def is_in(wire) -> bool:
    return kinds(wire.frames())[0] == "ready"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_listener_above_the_limit_is_refused_whatever_its_address(transport):
    world = few_listeners()
    wires = [world.stream("identifiers=chat", host=f"10.0.1.{number}") for number in range(2)]
    assert all(is_in(wire) for wire in wires)
    late = by_query(world, transport, "identifiers=chat", host="10.0.2.1")
    if transport == "poll":
        assert int(late.head[1]["retry-after"]) >= 1
    if transport != "events":
        assert refusal(late) == ("too_many_listeners", 4101 if transport == "websocket" else 429)
    else:
        assert refusal(late) == ("too_many_listeners", 200)  # with a retry, or EventSource would give up
    assert [wire.frames() for wire in wires] == [[], []]
    world.pushed("chat", "x")
    assert [texts(wire.frames()) for wire in wires] == [["x"], ["x"]]
    wires[0].lose()
    assert is_in(by_query(world, transport, "identifiers=chat", host="10.0.2.1"))


def test_refusal_in_all_names_the_setting():
    world = few_listeners(1)
    assert is_in(world.websocket("identifiers=chat"))
    error, close = world.websocket("identifiers=chat").frames()
    assert "raise listeners" in error["detail"]
    assert (error["retry"], close["code"]) == (10, 4101)


def test_listener_that_comes_again_has_its_place_when_full():
    world = few_listeners()
    old = world.websocket("identifiers=chat&listener=9f2c51d07ab34e18")
    assert is_in(old)
    assert is_in(world.websocket("identifiers=chat", host="10.0.2.1"))
    for _ in range(3):
        new = world.websocket("identifiers=chat&listener=9f2c51d07ab34e18")
        assert is_in(new)
        assert refusal(old) == ("replaced", 4000) if old.answered else True
        old = new
    assert refusal(world.websocket("identifiers=chat", host="10.0.3.1")) == ("too_many_listeners", 4101)


def test_poller_keeps_its_place_between_polls_and_no_longer():
    world = few_listeners(1)
    query = "identifiers=chat&listener=9f2c51d07ab34e18"
    assert is_in(world.poll(query))
    world.advance(9)
    assert refusal(world.poll("identifiers=chat", host="10.0.2.1")) == ("too_many_listeners", 429)
    assert is_in(world.poll(query))
    world.advance(11)
    assert is_in(world.poll("identifiers=chat", host="10.0.2.1"))


def test_listeners_of_another_account_do_not_count():
    world = World(Account("1", ("s",), listeners=1), Account("2", ("s",)))
    assert all(is_in(world.websocket("identifiers=chat", key="2")) for _ in range(3))
    assert is_in(world.websocket("identifiers=chat", key="1"))
    assert refusal(world.websocket("identifiers=chat", key="1")) == ("too_many_listeners", 4101)


def test_limit_set_by_a_reload_counts_those_who_are_there():
    world = World()
    wires = [world.websocket("identifiers=chat") for _ in range(3)]
    (account,) = world.server.settings.accounts
    changed = attrs.evolve(account, listeners=3)
    world.server.change_accounts(attrs.evolve(world.server.settings, accounts=(changed,)))
    world.settle()
    assert refusal(world.websocket("identifiers=chat")) == ("too_many_listeners", 4101)
    wires[0].lose()
    assert is_in(world.websocket("identifiers=chat"))


# Joins a second, on one server.


def storm(world: World, count: int):
    return [world.websocket("identifiers=chat", host=f"10.1.{number // 250}.{number % 250}") for number in range(count)]


def test_joins_above_the_pace_are_told_different_seconds():
    world = World(joins_per_second=5)
    wires = storm(world, 50)
    first = [wire.frames() for wire in wires]
    assert [frames[0]["type"] for frames in first] == ["ready"] * 5 + ["error"] * 45
    for error, close in first[5:]:
        assert (error["code"], close["code"]) == ("overloaded", 4100)
    times = [error["retry"] for error, _close in first[5:]]
    assert min(times) == 1
    assert max(times) in {9, 10}
    assert max(times.count(time) for time in times) <= 6, "no more come back in a second than the pace lets in"


def test_storm_is_over_after_the_time_that_it_needs():
    world = World(joins_per_second=5)
    waiting = {1: 50}
    joined = 0
    for second in range(1, 14):
        for wire in storm(world, waiting.pop(second, 0)):
            frames = wire.frames()
            if frames[0]["type"] == "ready":
                joined += 1
            else:
                back = second + frames[0]["retry"]
                waiting[back] = waiting.get(back, 0) + 1
        world.advance(1)
    assert joined == 50
    assert not waiting


def test_join_above_the_pace_is_a_503_with_retry_after():
    world = World(joins_per_second=1)
    assert is_in(world.stream("identifiers=chat"))
    late = world.stream("identifiers=chat")
    assert int(late.head[1]["retry-after"]) == 1
    assert refusal(late) == ("overloaded", 503)
    world.advance(1)
    assert is_in(world.stream("identifiers=chat"))


def test_who_is_in_already_is_not_paced():
    world = World(joins_per_second=1)
    wire = world.websocket("identifiers=chat&listener=9f2c51d07ab34e18")
    assert is_in(wire)
    wire.listen({"identifiers": ["chat", "news"]})
    assert is_in(wire)
    again = world.websocket("identifiers=chat&listener=9f2c51d07ab34e18")
    assert is_in(again)
    world.advance(1)
    query = "identifiers=chat&listener=another-listener"
    assert is_in(world.poll(query))
    for _ in range(5):
        assert is_in(world.poll(query))


def test_pace_is_off_by_default(world):
    assert all(is_in(wire) for wire in storm(world, 100))


@pytest.mark.memory
def test_small_account_loses_nothing_to_one_that_floods():
    accounts = [Account(key, (API_SECRET,), buffer_pushes=10**6) for key in ("1", "2")]
    world = World(*accounts, keep_bytes_total=2 * 2**20)  # half of it for public pushes
    for number in range(10):
        assert world.push("chat", f"{number}", key="1").status == 200
    for _ in range(300):
        assert world.push("chat", "x" * 10_000, key="2").status == 200
    assert world.server.engine.stats().total.bytes <= 2**20
    frames = world.stream("identifiers=chat:0", key="1").frames()
    assert texts(frames) == [f"{number}" for number in range(10)]
    assert "gap" not in kinds(frames)
    flooder = world.stream("identifiers=chat:0", key="2").frames()
    assert kinds(flooder)[1] == "gap", "what is lost is told"
    assert len(texts(flooder)) > 90


# Every refusal is counted.


def test_refusals_are_counted_by_code_from_zero_on():
    account = Account(API_KEY, (API_SECRET,), listeners=3, pushes_per_second=1, push_burst=2)
    world = World(account, joins_per_second=4)

    def shown(figure: str, code: str) -> float:
        metrics = world.admin("GET", "/metrics").body.decode()
        (line,) = [line for line in metrics.splitlines() if line.startswith(f'{figure}{{code="{code}"}}')]
        return float(line.split()[1])

    figures = [
        ("cometify_pushes_refused_total", "too_many_pushes"),
        ("cometify_listeners_refused_total", "too_many_listeners"),
        ("cometify_listeners_refused_total", "overloaded"),
    ]
    assert [shown(*figure) for figure in figures] == [0, 0, 0]
    answers = [world.push("chat", "x").status for _ in range(5)]
    wires = storm(world, 6)
    assert answers == [200, 200, 429, 429, 429]
    assert [wire.frames()[0].get("code") for wire in wires] == [None] * 3 + ["too_many_listeners"] + ["overloaded"] * 2
    assert [shown(*figure) for figure in figures] == [3, 1, 2]
