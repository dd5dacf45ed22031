"""Section 3: the newest position of an account, and joining from it or from a back end's clock."""

import pytest

from cometify.core.account import Account
from tests.contract.support import API_KEY, API_SECRET, TRANSPORTS, by_query, code_of, gaps, positions, texts
from tests.memory import START, World

PATH = f"/{API_KEY}/position"
MARGIN = 5_000_000
"""Microseconds that a back end takes off its own clock."""


def position(world, **more):
    answer = world.request("GET", PATH, **more).answer()
    assert answer.status == 200, answer
    assert list(answer.json) == ["position"]
    return answer.json["position"]


def test_position_is_the_time_of_the_engine_clock(world):
    assert position(world) == world.clock()


def test_position_is_the_newest_push_if_that_is_later(world):
    world.pushed("chat", "one")
    world.advance(0.001)
    world.pushed("news", "two")
    newest = world.pushed("chat", "three")
    world.advance(0)
    assert position(world) >= newest


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_page_gets_every_push_after_its_position(world, transport):
    world.pushed("chat", "before")
    world.advance(0.02)
    began = position(world)
    world.pushed("chat", "while the page loads")
    wire = by_query(world, transport, f"identifiers=chat&position={began}")
    frames = wire.frames()
    assert texts(frames) == ["while the page loads"]
    assert gaps(frames) == []


def test_no_later_push_gets_the_position_that_was_told(world):
    for number in range(5):
        world.advance(0.02)
        world.pushed("chat", str(number))
        told = position(world)
        assert world.pushed("chat", "after") > told


def test_answer_is_not_stored_and_any_page_reads_it(world):
    headers = world.request("GET", PATH, Origin="https://example.org").answer().headers
    assert "no-store" in headers["cache-control"].split(", ")
    assert headers["content-type"] == "application/json"
    assert headers["access-control-allow-origin"] == "*"


def test_only_pages_of_the_accounts_origins_read_it(engine):
    world = World(Account(API_KEY, (API_SECRET,), origins=("https://example.org",)))
    allowed = world.request("GET", PATH, Origin="https://example.org").answer()
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, "https://example.org")
    refused = world.request("GET", PATH, Origin="https://example.com").answer()
    assert (refused.status, code_of(refused)) == (403, "origin_not_allowed")
    world.advance(0.02)
    assert world.request("GET", PATH).answer().status == 200  # a back end sends no Origin


def test_unknown_key_has_no_position(world):
    answer = world.request("GET", "/nobody/position").answer()
    assert (answer.status, code_of(answer)) == (403, "not_authorized")
    assert world.server.membership.refused == {}


@pytest.mark.parametrize("method", ["POST", "DELETE", "HEAD"])
def test_position_is_only_got(world, method):
    wire = world.request(method, PATH, b"" if method == "POST" else None)
    assert wire.head[0] == 405
    assert wire.head[1]["allow"] == "GET"


def test_position_takes_no_slot(engine):
    world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=1))
    for _ in range(5):
        position(world)
        world.advance(0.02)
    assert by_query(world, "stream", "identifiers=chat").head[0] == 200
    position(world)


# A back end's own clock.


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("ahead", [-4, 0, 4])
def test_clock_less_a_margin_replays_what_came_since(world, transport, ahead):
    world.pushed("chat", "a minute before")
    world.advance(60)
    began = round((world.wall() + ahead) * 1_000_000) - MARGIN
    at = world.pushed("chat", "while the page loads")
    wire = by_query(world, transport, f"identifiers=chat&position={began}")
    frames = wire.frames()
    assert positions(frames) == [at]
    assert gaps(frames) == []
    if transport != "poll":
        live = world.pushed("chat", "live")
        assert positions(wire.frames()) == [live]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_clock_before_any_push_replays_nothing_and_no_gap(world, transport):
    began = round(world.wall() * 1_000_000) - MARGIN
    wire = by_query(world, transport, f"identifiers=chat&position={began}")
    if transport == "poll":
        assert not wire.answered  # nothing is owed
        return
    frames = wire.frames()
    assert gaps(frames) == positions(frames) == []
    assert frames[0]["positions"] == [began]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_clock_far_ahead_is_told_a_gap_and_not_waited_for(world, transport):
    world.pushed("chat", "before")
    began = round((world.wall() + 60) * 1_000_000) - MARGIN
    wire = by_query(world, transport, f"identifiers=chat&position={began}")
    frames = wire.frames()
    assert gaps(frames) == [["chat"]]
    assert positions(frames) == []
    if transport != "poll":
        assert frames[0]["positions"][0] < began
        live = world.pushed("chat", "live")
        assert positions(wire.frames()) == [live]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_position_and_internal_id_both_count(world, transport):
    world.pushed("chat", "old", push_id=59)
    world.advance(10)
    began = round(world.wall() * 1_000_000) - MARGIN
    world.pushed("chat", "old again", push_id=58)
    world.pushed("chat", "new", push_id=60)
    frames = by_query(world, transport, f"identifiers=chat:59&position={began}").frames()
    assert texts(frames) == ["new"]
    assert gaps(frames) == []


def test_clock_before_the_servers_memory_is_a_gap():
    world = World(began=1)
    began = START - MARGIN
    assert gaps(by_query(world, "stream", f"identifiers=chat&position={began}").frames()) == [["chat"]]
