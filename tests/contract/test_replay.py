"""Section 3: internal ids, positions and resuming, gaps, heartbeats. Time is the tests' own."""

import pytest

from cometify.core.account import Account
from cometify.core.identifier import Identifier
from cometify.core.push import Draft
from tests.contract.support import (
    API_KEY,
    API_SECRET,
    OPEN,
    SECOND,
    START,
    TRANSPORTS,
    by_frame,
    by_query,
    gaps,
    kinds,
    texts,
)  # fmt: skip
from tests.memory import World
from tests.wire import secure_key

MINUTE = 60


def small(pushes: int = 3, **more: int) -> World:
    return World(Account(API_KEY, (API_SECRET,), buffer_pushes=pushes, **more))


# Internal ids.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_internal_id_replays_3_minutes_above_it(world, transport):
    world.pushed("chat", "five", push_id=5)
    world.pushed("chat", "no id")
    world.pushed("chat", "seven", push_id=7)
    world.pushed("chat", "six", push_id=6)
    frames = by_query(world, transport, "identifiers=chat:5").frames()
    assert [kind for kind in kinds(frames) if kind != "(end)"] == ["ready", "push", "push", "heartbeat"]
    assert texts(frames) == ["seven", "six"]


def test_3_minutes_are_3_minutes(world):
    world.pushed("chat", "old", push_id=5)
    world.advance(3 * MINUTE - 1)
    assert texts(world.poll("identifiers=chat:4").frames()) == ["old"]
    world.advance(1)
    assert texts(world.poll("identifiers=chat:4").frames()) == []


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_internal_id_0_replays_10_minutes(world, transport):
    world.pushed("chat", "zero", push_id=0)
    world.advance(9 * MINUTE, step=20)
    world.pushed("chat", "no id")
    world.pushed("chat", "five", push_id=5)
    assert texts(by_query(world, transport, "identifiers=chat:0").frames()) == ["zero", "no id", "five"]


def test_10_minutes_are_10_minutes(world):
    world.pushed("chat", "old")
    world.advance(10 * MINUTE - 1, step=1)
    assert texts(world.poll("identifiers=chat:0").frames()) == ["old"]
    world.advance(1)
    frames = world.poll("identifiers=chat:0").frames()
    assert (texts(frames), gaps(frames)) == ([], [])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_plain_identifier_replays_nothing(world, transport):
    world.pushed("chat", "old", push_id=5)
    frames = by_query(world, transport, "identifiers=chat").frames()
    assert kinds(frames)[:2] == ["ready", "heartbeat"]


@pytest.mark.parametrize("transport", OPEN)
def test_internal_id_filters_live_pushes_by_push_id(world, transport):
    wire = by_query(world, transport, "identifiers=chat:5")
    wire.frames()
    for push_id in (6, 5, None, 9, 4, 6, 7):
        world.pushed("chat", str(push_id), push_id=push_id)
    # N stays what it was at joining: a late, lower id above N still arrives.
    assert texts(wire.frames()) == ["6", "None", "9", "6", "7"]


def test_live_an_internal_id_of_0_lets_everything_through(world):
    wire = world.websocket("identifiers=chat:0")
    wire.frames()
    for push_id in (0, None, 1):
        world.pushed("chat", str(push_id), push_id=push_id)
    assert texts(wire.frames()) == ["0", "None", "1"]


def test_each_identifier_has_its_own_internal_id(world):
    for push_id in (5, 50):
        world.pushed("chat", f"chat {push_id}", push_id=push_id)
        world.pushed("metrics", f"metrics {push_id}", push_id=push_id)
    assert texts(world.poll("identifiers=chat:49,metrics:0").frames()) == ["metrics 5", "chat 50", "metrics 50"]


# Positions.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_resuming_gives_every_push_after_the_position(world, transport):
    ats = [world.pushed("chat", str(number)) for number in range(4)]
    assert texts(by_query(world, transport, f"identifiers=chat&position={ats[1]}").frames()) == ["2", "3"]
    assert texts(by_query(world, transport, f"identifiers=chat&position={ats[0] - 1}").frames()) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_resume_with_internal_id_ignores_the_3_minutes(world, transport):
    start = world.clock()
    world.advance(1)
    for push_id in (5, None, 6):
        world.pushed("chat", str(push_id), push_id=push_id)
    world.advance(5 * MINUTE, step=5)
    frames = by_query(world, transport, f"identifiers=chat:5&position={start}").frames()
    assert texts(frames) == ["None", "6"]
    assert gaps(frames) == []


def test_resume_with_internal_id_0_gives_all_after_position(world):
    world.pushed("chat", "before")
    at = world.pushed("chat", "at", push_id=1)
    for push_id in (0, None, 1):
        world.pushed("chat", str(push_id), push_id=push_id)
    assert texts(world.poll(f"identifiers=chat:0&position={at}").frames()) == ["0", "None", "1"]


def test_one_position_resumes_all_identifiers(world):
    at = world.pushed("chat", "seen")
    world.pushed("metrics", "one")
    world.pushed("chat", "two")
    assert texts(world.poll(f"identifiers=chat,metrics&position={at}").frames()) == ["one", "two"]


def test_each_group_resumes_where_it_says(world):
    first = world.pushed("chat", "chat 1")
    world.pushed("metrics", "metrics 1")
    second = world.pushed("chat", "chat 2")
    world.pushed("metrics", "metrics 2")
    wire = by_frame(
        world, "websocket",
        {"identifiers": ["metrics"], "position": second}, {"identifiers": ["chat"], "position": first - 1},
    )  # fmt: skip
    ready, *frames = wire.frames()
    assert ready["positions"] == [second, first - 1]
    assert texts(frames) == ["chat 1", "chat 2", "metrics 2"]


# Ready.


def test_ready_gives_first_cursors_in_the_order_asked(world):
    head = world.clock()
    at = world.pushed("chat", "x")
    world.advance(700, step=5)
    now = world.clock()
    wire = world.websocket()
    wire.listen(
        {"identifiers": ["plain"]},
        {"identifiers": {"a": 5}},
        {"identifiers": {"b": 0, "c": 9}},
        {"identifiers": ["d"], "position": at},
        {"identifiers": {"e": 7}, "position": head},
    )
    ready = wire.frames()[0]
    assert ready["positions"] == [now, now - 180 * SECOND, now - 600 * SECOND, at, head]


def test_ready_tells_the_heartbeat():
    assert World(heartbeat=7).websocket("identifiers=chat").frames()[0]["heartbeat"] == 7


def test_readys_secret_is_in_lower_case(world):
    key = secure_key("Chat", "METRICS")
    assert world.websocket(f"identifiers=Chat,METRICS&secureKey={key}").frames()[0]["secret"] == ["chat", "metrics"]


def test_resuming_poll_has_no_ready(world):
    at = world.pushed("chat", "one")
    world.pushed("chat", "two")
    assert kinds(world.poll(f"identifiers=chat&position={at}").frames()) == ["push", "heartbeat"]


def test_poll_with_one_new_group_has_a_ready(world):
    wire = by_frame(world, "poll", {"identifiers": ["chat"], "position": world.clock()}, {"identifiers": ["metrics"]})
    assert kinds(wire.frames()) == ["ready", "heartbeat"]


def test_resuming_poll_has_a_ready_for_a_warning(world):
    at = world.pushed("chat", "one")
    world.pushed("chat", "two")
    frames = world.poll(f"identifiers=chat&secureKey=wrong&position={at}").frames()
    assert kinds(frames) == ["ready", "push", "heartbeat"]
    assert len(frames[0]["warnings"]) == 1


def test_poll_with_a_wrong_key_waits_at_the_head(world):
    """Else a page with a wrong key polls as fast as it can."""
    wire = world.poll(f"identifiers=chat&secureKey=wrong&position={world.clock()}")
    world.advance(5)
    assert not wire.answered
    world.pushed("chat", "x")
    assert kinds(wire.frames()) == ["ready", "push", "heartbeat"]


# Gaps.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_gap_precedes_the_replay_after_an_overrun(transport):
    world = small()
    first = world.pushed("chat", "0")
    for number in range(1, 5):
        world.pushed("chat", str(number))
    frames = by_query(world, transport, f"identifiers=Chat&position={first}").frames()
    assert [kind for kind in kinds(frames) if kind not in ("ready", "(end)")] == [
        "gap",
        "push",
        "push",
        "push",
        "heartbeat",
    ]
    assert gaps(frames) == [["chat"]]
    assert texts(frames) == ["2", "3", "4"]


def test_no_gap_if_all_since_the_position_is_kept():
    world = small()
    ats = [world.pushed("chat", str(number)) for number in range(5)]
    assert gaps(world.poll(f"identifiers=chat&position={ats[1]}").frames()) == []
    assert gaps(world.poll(f"identifiers=chat&position={ats[1] - 1}").frames()) == [["chat"]]


def test_gap_names_only_identifiers_with_a_loss():
    world = small()
    first = world.pushed("chat", "0")
    world.pushed("metrics", "0")
    for number in range(1, 5):
        world.pushed("chat", str(number))
    frames = world.poll(f"identifiers=metrics,chat&position={first - 1}").frames()
    assert gaps(frames) == [["chat"]]
    assert texts(frames) == ["0", "2", "3", "4"]


def test_gap_for_an_overrun_within_the_3_minutes():
    world = small()
    for number in range(1, 6):
        world.pushed("chat", str(number), push_id=number)
    for query in ("identifiers=chat:1", "identifiers=chat:0"):
        frames = world.poll(query).frames()
        assert (gaps(frames), texts(frames)) == ([["chat"]], ["3", "4", "5"])
    world.advance(181)
    world.pushed("chat", "6", push_id=6)
    assert gaps(world.poll("identifiers=chat:5").frames()) == []
    assert gaps(world.poll("identifiers=chat:0").frames()) == [["chat"]]
    world.advance(421)
    assert gaps(world.poll("identifiers=chat:0").frames()) == []


def followed(world, names):
    """With Redis a node knows only those drops that it has observed: it has followed for three minutes."""
    world.stream(f"identifiers={names}")
    world.advance(181)


def test_no_gap_for_dropped_pushes_that_the_page_has():
    """A busy site: three minutes hold more pushes than are kept, and the page has them already."""
    world = small()
    followed(world, "chat")
    before = world.pushed("chat", "2", push_id=2) - 1
    for push_id in (10**18 + 1, 10**18, 10**18 + 2):
        world.pushed("chat", f"{push_id}", push_id=push_id)
    world.pushed("chat", "no id")
    world.pushed("chat", "last", push_id=10**18 + 3)
    highest = 10**18 + 1  # of those dropped
    for asked, told in (
        (f"chat:{highest}", []),
        (f"chat:{highest + 1}", []),
        (f"chat:{highest - 1}", [["chat"]]),
        ("chat:1", [["chat"]]),
        ("chat:0", [["chat"]]),
        (f"chat:{highest}&position={before}", []),
        (f"chat:{highest - 1}&position={before}", [["chat"]]),
        (f"chat&position={before}", [["chat"]]),
    ):
        assert gaps(world.poll(f"identifiers={asked}").frames()) == told, asked
    for number in range(3):
        world.pushed("chat", f"{number}", push_id=10**18 + 3)
    # Now a push without a push_id is among the dropped ones. A listener that joins would not have got it.
    assert gaps(world.poll(f"identifiers=chat:{highest + 2}&position={before}").frames()) == [["chat"]]
    assert gaps(world.poll(f"identifiers=chat:{highest + 2}").frames()) == []
    assert gaps(world.poll(f"identifiers=chat:{highest + 1}").frames()) == [["chat"]]


def test_no_gap_for_dropped_secret_pushes_of_the_page():
    world = small(1)
    followed(world, "chat")
    key = f"&secureKey={secure_key('chat')}"
    for push_id, secret in ((5, 1), (4, 0), (6, 0), (2, 1)):
        world.pushed("chat", f"{push_id}", push_id=push_id, secret=secret)
    for push_id, public, private in ((3, [["chat"]], [["chat"]]), (4, [], [["chat"]]), (5, [], [])):
        assert gaps(world.poll(f"identifiers=chat:{push_id}").frames()) == public
        assert gaps(world.poll(f"identifiers=chat:{push_id}{key}").frames()) == private


def test_drops_for_keep_bytes_are_told_apart_too():
    world = World(Account(API_KEY, (API_SECRET,), keep_bytes=512 * 1024))
    followed(world, "chat,other")
    world.pushed("chat", "x", push_id=5)
    world.pushed("chat", "x", push_id=4)
    for _ in range(9):
        world.pushed("other", "x" * 60_000)
    assert gaps(world.poll("identifiers=chat:5").frames()) == []
    assert gaps(world.poll("identifiers=chat:4").frames()) == [["chat"]]


@pytest.mark.memory("with Redis a node knows of no drop that it has not seen")
def test_no_gap_though_nobody_has_listened_until_now():
    world = small(1)
    world.pushed("chat", "x", push_id=5)
    world.pushed("chat", "x", push_id=6)
    assert gaps(world.poll("identifiers=chat:5").frames()) == []
    assert gaps(world.poll("identifiers=chat:4").frames()) == [["chat"]]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_gap_if_the_memory_begins_later(transport):
    world = World(began=100)
    for query in ("identifiers=chat:0", "identifiers=chat:5", f"identifiers=chat&position={START - 1}"):
        assert gaps(by_query(world, transport, query).frames()) == [["chat"]]
    for query in ("identifiers=chat", f"identifiers=chat&position={START}"):
        wire = by_query(world, transport, query)
        if transport == "poll" and "position" in query:
            assert not wire.answered
        else:
            assert gaps(wire.frames()) == []


def test_no_gap_once_the_memory_reaches_far_enough():
    world = World(began=180)
    assert gaps(world.poll("identifiers=chat:5").frames()) == []
    assert gaps(world.poll("identifiers=chat:0").frames()) == [["chat"]]
    world.advance(420)
    assert gaps(world.poll("identifiers=chat:0").frames()) == []


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_gap_for_a_page_older_than_its_replay(world, transport):
    world.pushed("chat", "missed", push_id=9)
    world.advance(181)
    world.pushed("chat", "new", push_id=10)
    frames = by_query(world, transport, "identifiers=chat:8").frames()
    assert (gaps(frames), texts(frames)) == ([["chat"]], ["new"])
    assert gaps(by_query(world, transport, "identifiers=chat:9").frames()) == []
    assert gaps(by_query(world, transport, "identifiers=chat").frames()) == []


def test_no_gap_for_an_older_push_without_a_push_id(world):
    world.pushed("chat", "no id")
    world.advance(181)
    assert gaps(world.poll("identifiers=chat:8").frames()) == []


def test_no_gap_for_an_older_push_when_resuming(world):
    start = world.clock()
    world.pushed("chat", "seen", push_id=9)
    world.advance(181)
    assert gaps(world.poll(f"identifiers=chat:8&position={start - 1}").frames()) == []


def test_no_gap_for_an_older_secret_push_that_it_may_not_see(world):
    world.pushed("chat", "a secret", secret=1, push_id=9)
    world.advance(181)
    assert gaps(world.poll("identifiers=chat:8").frames()) == []
    assert gaps(world.poll(f"identifiers=chat:8&secureKey={secure_key('chat')}").frames()) == [["chat"]]


def test_no_gap_for_lost_secret_pushes_that_it_may_not_see():
    world = small()
    first = world.pushed("chat", "public")
    for number in range(4):
        world.pushed("chat", str(number), secret=1)
    for _ in range(3):
        world.pushed("chat", "public too")
    # Lost: the first public push, and one secret one after it.
    assert gaps(world.poll(f"identifiers=chat&position={first}").frames()) == []
    assert gaps(world.poll(f"identifiers=chat&position={first - 1}").frames()) == [["chat"]]
    assert gaps(world.poll(f"identifiers=chat&position={first}&secureKey={secure_key('chat')}").frames()) == [["chat"]]


def test_no_gap_for_secrets_that_a_later_group_sees():
    world = small()
    first = world.pushed("chat", "public")
    for number in range(5):
        world.pushed("chat", str(number), secret=1)
    wire = world.websocket()
    wire.listen(
        {"identifiers": ["chat"], "position": first},
        {"identifiers": ["chat"], "secureKey": secure_key("chat")},
    )
    assert gaps(wire.frames()) == []


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_position_above_the_latest_is_a_gap(world, transport):
    head = world.clock()
    wire = by_query(world, transport, f"identifiers=chat&position={head + 1000 * SECOND}")
    frames = wire.frames()
    assert gaps(frames) == [["chat"]]
    assert frames[-1] == {"type": "heartbeat", "position": head}
    if transport != "poll":
        assert frames[0]["positions"] == [head]
        world.pushed("chat", "x")
        assert texts(wire.frames()) == ["x"]


def test_position_of_2_to_the_53_is_above_too(world):
    assert gaps(world.poll(f"identifiers=chat&position={2**53 - 1}").frames()) == [["chat"]]


def test_latest_position_is_not_above_the_latest(world):
    world.pushed("chat", "a")
    world.pushed("chat", "b")
    last = world.pushed("metrics", "c")
    assert last > world.clock()
    assert not world.poll(f"identifiers=chat&position={last}").answered


def test_only_the_group_with_the_position_above_gets_a_gap(world):
    wire = world.websocket()
    wire.listen(
        {"identifiers": ["chat", "tweets"], "position": 2**53 - 1},
        {"identifiers": ["metrics"], "position": world.clock()},
    )
    assert gaps(wire.frames()) == [["chat", "tweets"]]


def test_plain_join_is_never_a_gap():
    world = small()
    for number in range(9):
        world.pushed("chat", str(number))
    assert gaps(world.poll("identifiers=chat").frames()) == []


def test_last_drop_is_remembered_for_a_day(world):
    at = world.pushed("chat", "one")
    world.advance(23 * 3600, step=100)
    assert gaps(world.poll(f"identifiers=chat&position={at - 1}").frames()) == [["chat"]]
    assert not world.poll(f"identifiers=chat&position={at}").answered
    assert not world.poll(f"identifiers=metrics&position={at - 1}").answered


def test_cursor_older_than_a_day_is_always_a_gap(world):
    at = world.pushed("chat", "one")
    world.advance(24 * 3600 + 1, step=100)
    assert gaps(world.poll(f"identifiers=chat&position={at}").frames()) == [["chat"]]
    assert gaps(world.poll(f"identifiers=metrics&position={at}").frames()) == [["metrics"]]
    assert not world.poll(f"identifiers=metrics&position={at + 10 * SECOND}").answered


def test_kept_are_1000_pushes_of_an_identifier(world):
    from cometify.core.identifier import Identifier
    from cometify.core.push import Draft

    account = world.server.accounts.get(API_KEY)
    world.pushed("metrics", "another's")
    for number in range(1001):
        world.server.engine.append(account, Draft(Identifier.read("chat"), str(number), False, None, None))
    world.settle()
    wire = world.websocket("identifiers=chat:0,metrics:0")
    world.advance(1)
    frames = wire.frames()
    assert gaps(frames) == [["chat"]]
    assert texts(frames) == ["another's", *map(str, range(1, 1001))]


def test_kept_are_buffer_bytes_of_an_identifier():
    world = World(Account(API_KEY, (API_SECRET,), buffer_bytes=10_000))
    for number in range(5):
        world.pushed("chat", f"{number}" * 3000)
    frames = world.poll("identifiers=chat:0").frames()
    assert gaps(frames) == [["chat"]]
    assert [text[0] for text in texts(frames)] == ["2", "3", "4"]


def test_account_keeps_keep_bytes_and_drops_the_oldest():
    world = World(Account(API_KEY, (API_SECRET,), keep_bytes=10_000), Account("2", ("s",), keep_bytes=10_000))
    for number, identifier in enumerate(("a", "b", "a", "b", "a")):
        world.pushed(identifier, f"{number}" * 3000)
    frames = world.poll("identifiers=a:0,b:0").frames()
    assert gaps(frames) == [["a", "b"]]
    assert [text[0] for text in texts(frames)] == ["2", "3", "4"]


# Heartbeats.


@pytest.mark.parametrize("transport", OPEN)
def test_heartbeats_come_whatever_is_pushed_between(world, transport):
    wire = by_query(world, transport, "identifiers=chat")
    wire.frames()
    for _ in range(3):
        world.advance(24)
        assert kinds(wire.frames()) == []
        world.pushed("chat", "x")
        assert kinds(wire.frames()) == ["push"]
        world.advance(1)
        (beat,) = wire.frames()
        assert beat == {"type": "heartbeat", "position": beat["position"]}
        assert world.clock() - world.lag <= beat["position"] <= world.clock()


def test_heartbeats_are_as_often_as_is_set():
    world = World(heartbeat=1)
    wire = world.websocket("identifiers=chat")
    wire.frames()
    world.advance(10)
    assert kinds(wire.frames()) == ["heartbeat"] * 10


def test_no_later_push_gets_a_heartbeats_position_or_below(world):
    wire = world.websocket("identifiers=chat")
    beat = wire.frames()[-1]["position"]
    at = world.pushed("chat", "x")
    assert at > beat
    world.skew = -50 * SECOND
    world.advance(25)
    beat = wire.frames()[-1]["position"]
    assert beat >= at
    assert world.pushed("chat", "y") > beat


def test_heartbeat_ends_a_replay(world):
    world.pushed("chat", "one")
    world.advance(5)
    frames = world.websocket("identifiers=chat:0").frames()
    assert kinds(frames) == ["ready", "push", "heartbeat"]
    assert frames[-1]["position"] == world.clock()


def test_heartbeat_moves_the_cursor_of_a_quiet_group(world):
    wire = world.websocket("identifiers=chat")
    wire.frames()
    world.advance(26 * 3600, step=25)
    beat = wire.frames()[-1]["position"]
    world.pushed("chat", "x")
    frames = world.websocket(f"identifiers=chat&position={beat}").frames()
    assert (gaps(frames), texts(frames)) == ([], ["x"])


def test_poll_short_of_the_head_has_no_heartbeat(world):
    for number in range(3):
        world.pushed("chat", str(number) + "x" * 40_000)
    frames = world.poll("identifiers=chat:0").frames()
    seen = []
    while True:
        assert kinds(frames)[-1] == ("heartbeat" if len(seen) + len(texts(frames)) == 3 else "push")
        seen += [text[0] for text in texts(frames)]
        if kinds(frames)[-1] == "heartbeat":
            break
        frames = world.poll(f"identifiers=chat:0&position={frames[-1]['position']}").frames()
    assert seen == ["0", "1", "2"]


def test_long_replay_with_few_wanted_pushes_ends(world):
    account = world.server.accounts.get(API_KEY)
    start = world.clock() - 1
    for name in "abcd":
        for number in range(900):
            world.server.engine.append(account, Draft(Identifier.read(name), "x", False, number, None))
    last = world.pushed("a", "wanted", push_id=1000)
    wire = world.poll(f"identifiers=a:999,b:999,c:999,d:999&position={start}")
    world.advance(1)
    frames = wire.frames()
    assert kinds(frames) == ["push", "heartbeat"]
    assert frames[0]["position"] == last


def crowded(world, count, name="chat", **more):
    """Push so many times to one identifier, with a push_id below 99."""
    account = world.server.accounts.get(API_KEY)
    for _ in range(count):
        world.server.engine.append(account, Draft(Identifier.read(name), "x", False, 1, None, **more))


@pytest.mark.parametrize("count", [999, 1000, 1001, 2500])
@pytest.mark.parametrize("names", ["chat", "chat,news,other"])
def test_poll_with_a_gap_tells_where_it_goes_on(count, names):
    world = small(1000)
    for name in names.split(","):
        crowded(world, count, name)
    asked = ",".join(f"{name}:99" for name in names.split(","))
    wire = world.poll(f"identifiers={asked}&position=1")
    world.advance(1)
    frames = wire.frames()
    assert kinds(frames) == ["gap", "heartbeat"]
    again = world.poll(f"identifiers={asked}&position={frames[-1]['position']}")
    assert not again.answered
    world.pushed("chat", "heard", push_id=100)
    assert texts(again.frames()) == ["heard"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_first_answer_is_whole_behind_many_unwanted_pushes(transport):
    world = small(1000)
    crowded(world, 1000)
    wire = by_query(world, transport, "identifiers=chat:99")
    world.advance(1)
    frames = wire.frames()
    assert [kind for kind in kinds(frames) if kind != "(end)"] == ["ready", "heartbeat"]


def test_poll_that_many_pushes_exclude_tells_where_it_goes_on():
    world = small(1000)
    crowded(world, 1001, excluded="me-0123456789")
    wire = world.poll("identifiers=chat&position=1&listener=me-0123456789")
    world.advance(1)
    assert kinds(wire.frames()) == ["gap", "heartbeat"]
    assert world.server.fan_out.gaps == 1
