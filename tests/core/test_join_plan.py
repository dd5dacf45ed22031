"""The plan of a join: first cursors, filters, rights and losses."""

import json
import sys
from functools import partial
from math import inf

import hypothesis.strategies as st
import pytest
from hypothesis import given

from cometify.core.account import Account
from cometify.core.group_filter import GroupFilter
from cometify.core.join_plan import make_join_plan
from cometify.core.listen_request import listen_request_from_frame
from cometify.core.md5_signature import secure_key
from cometify.core.position import FLOOR_RETENTION, REPLAY_WINDOW, RETENTION
from cometify.core.push import Push
from cometify.core.ring import RingBuffer
from cometify.core.ring_block import BLOCK
from tests.wire import jwt

ACCOUNT = Account("37282591", ("old secret", "new secret"))
NOW = 1_764_000_000_000_000
WALL = 1_764_000_000.0


def plan(*groups, joined=None, at=0, account=ACCOUNT):
    request = listen_request_from_frame(json.dumps({"type": "listen", "groups": groups}).encode())
    rights = [group.right(account, WALL) for group in request.groups]
    return make_join_plan(request, rights, NOW, joined or {}, at)


def key(names, secret="new secret"):
    return secure_key("37282591", secret, names)


def token(lasts, *names):
    return jwt({"exp": WALL + lasts, "identifiers": names}, "new secret")


def test_plain_group_begins_now():
    made = plan({"identifiers": ["Chat", "metrics"]})
    assert made.filters == {name: (GroupFilter(False, -1, NOW, NOW),) for name in ("chat", "metrics")}
    assert (made.positions, made.cursor, made.settled) == ((NOW,), NOW, True)
    assert (made.warnings, made.lost, made.stale, made.secret) == ((), frozenset(), (), [])


def test_internal_id_begins_three_minutes_ago_and_zero_ten():
    made = plan({"identifiers": {"chat": 59}}, {"identifiers": {"metrics": 0}})
    assert made.filters["chat"] == (GroupFilter(False, 59, NOW - REPLAY_WINDOW, NOW),)
    assert made.filters["metrics"] == (GroupFilter(False, -1, NOW - RETENTION, NOW - RETENTION),)
    assert made.positions == (NOW - REPLAY_WINDOW, NOW - RETENTION)
    assert made.cursor == NOW - RETENTION
    assert made.since == {"chat": NOW - REPLAY_WINDOW, "metrics": NOW - RETENTION}
    assert made.reach == {"chat": NOW - RETENTION, "metrics": NOW - RETENTION}


def test_group_begins_with_the_first_of_its_identifiers():
    assert plan({"identifiers": {"chat": 59, "metrics": 0}}).positions == (NOW - RETENTION,)


def test_group_with_a_position_resumes_there():
    resumed = {"identifiers": ["chat"], "position": NOW - 7}
    made = plan(resumed)
    assert (made.positions, made.settled, made.lost) == ((NOW - 7,), False, frozenset())
    assert plan(resumed, {"identifiers": ["metrics"]}).positions == (NOW - 7, NOW)
    assert made.reach == made.since == {"chat": NOW - 7}


@pytest.mark.parametrize(
    ("position", "lost", "begins"),
    [
        (NOW, False, NOW),
        (NOW + 1, True, NOW),
        (NOW - FLOOR_RETENTION, False, NOW - FLOOR_RETENTION),
        (NOW - FLOOR_RETENTION - 1, True, NOW - FLOOR_RETENTION - 1),
        (0, True, 0),
    ],
)
def test_position_never_given_or_too_old_is_a_loss(position, lost, begins):
    made = plan({"identifiers": ["chat"], "position": position})
    assert made.lost == ({"chat"} if lost else set())
    assert made.lost_in({}) == made.lost
    assert made.cursor == begins


@pytest.mark.parametrize("secret", ACCOUNT.api_secrets)
def test_secure_key_of_any_live_secret_gives_secret_pushes(secret):
    made = plan({"identifiers": ["Chat", "metrics"], "secureKey": key("Chat,metrics", secret)})
    assert made.secret == ["chat", "metrics"]
    assert made.warnings == ()


def test_replay_is_as_long_as_the_pushes_that_may_be_seen():
    ring = RingBuffer.beginning_at(("37282591", "chat"), NOW - 100)
    for position, secret in ((NOW - 50, False), (NOW - 7, False), (NOW - 6, True), (NOW - 5, True)):
        ring.of(secret).append(Push("chat", None, secret, position, b"x" * 10), 100, 10**6)
    resumed = {"identifiers": ["chat"], "position": NOW - 10}
    rings = {"chat": ring}
    assert plan(resumed).bytes_in(rings) == ring.bytes_after(NOW - 10, secret=False) > 0
    assert plan(resumed).pushes_in(rings) == 1
    assert plan({**resumed, "secureKey": key("chat")}).pushes_in(rings) == 3
    whole = plan({**resumed, "secureKey": key("chat")}).bytes_in(rings)
    assert whole == ring.bytes_after(NOW - 10, secret=True) > ring.bytes_after(NOW - 10, secret=False)


@pytest.mark.parametrize("names", ["metrics,Chat", "chat,metrics", "Chat"])
def test_secure_key_over_other_names_is_a_warning(names):
    made = plan({"identifiers": ["Chat", "metrics"], "secureKey": key(names)})
    assert made.secret == []
    (warning,) = made.warnings
    assert "Chat,metrics" in warning
    assert "secret" not in warning.replace("apiSecret", "").replace("secret pushes", "")


def test_token_gives_secret_pushes_of_the_names_it_covers():
    made = plan({"identifiers": ["Chat", "metrics"], "token": token(60, "chat", "other")})
    assert made.filters == {"chat": (GroupFilter(True, -1, NOW, NOW),), "metrics": (GroupFilter(False, -1, NOW, NOW),)}
    assert (made.secret, made.warnings, made.until) == (["chat"], (), WALL + 60)


def test_token_that_covers_nothing_is_a_warning_and_never_ends():
    made = plan({"identifiers": ["Chat", "metrics"], "token": token(60, "other")})
    assert (made.secret, made.until) == ([], inf)
    (warning,) = made.warnings
    assert "Chat,metrics" in warning


def test_token_that_has_ended_is_a_warning_that_says_why():
    request = listen_request_from_frame(
        json.dumps(
            {
                "type": "listen",
                "groups": [{"identifiers": ["Chat"], "token": token(0, "chat")}, {"identifiers": ["news"]}],
            }
        ).encode()
    )
    rights = [group.right_left(ACCOUNT, WALL) for group in request.groups]
    (warning,) = make_join_plan(request, rights, NOW, {}, 0).warnings
    assert "Chat" in warning
    assert "it has expired" in warning


def test_right_by_secure_key_never_ends():
    assert plan({"identifiers": "chat"}, {"identifiers": "metrics", "secureKey": key("metrics")}).until == inf


@pytest.mark.parametrize(
    ("tokens", "keyed", "until"),
    [
        ([("chat", 60, "chat"), ("metrics", 30, "metrics")], None, 30),
        ([("chat", 60, "chat"), ("metrics", 30, "other")], None, 60),
        ([("chat", 60, "chat"), ("chat", 30, "chat")], None, 60),
        ([("chat", 60, "*"), ("chat,metrics", 30, "*")], None, 30),
        ([("chat", 30, "chat")], "chat", inf),
        ([("chat", 60, "chat"), ("metrics", 30, "metrics")], "metrics", 60),
    ],
)
def test_right_ends_with_the_first_identifier_that_loses_it(tokens, keyed, until):
    groups = [{"identifiers": names.split(","), "token": token(lasts, covered)} for names, lasts, covered in tokens]
    if keyed:
        groups.append({"identifiers": keyed, "secureKey": key(keyed)})
    for order in (groups, groups[::-1]):
        assert plan(*order).until == (WALL + until if until < inf else inf)


def test_identifier_in_several_groups_has_each_filter_once():
    made = plan(
        {"identifiers": ["chat"]},
        {"identifiers": ["CHAT"], "secureKey": key("CHAT")},
        {"identifiers": ["chat"]},
    )
    assert made.filters["chat"] == (GroupFilter(False, -1, NOW, NOW), GroupFilter(True, -1, NOW, NOW))
    assert made.positions == (NOW, NOW, NOW)
    assert made.secret == ["chat"]


def ring(name, *dropped, began=0):
    """A ring that has dropped pushes, each given as (microseconds before now, push_id or None, secret)."""
    made = RingBuffer.beginning_at(("37282591", name), began)
    for back, push_id, secret in dropped:
        made.of(secret).append(Push(name, push_id, secret, NOW - back, b"{}"), 1, 100)
    for secret in (False, True):
        made.of(secret).append(Push(name, None, secret, NOW, b"{}"), 1, 100)
    return made


def test_drop_is_no_loss_where_no_group_begins_that_early():
    made = plan(
        {"identifiers": {"chat": 0}},
        {"identifiers": ["chat"], "secureKey": key("chat"), "position": NOW - 5},
        {"identifiers": ["metrics"]},
    )
    rings = {"chat": ring("chat", (9, 1, False), (8, 2, True)), "metrics": ring("metrics", (7, None, False))}
    assert made.unwanted_in(rings) == {"chat": (NOW - RETENTION, NOW - 5), "metrics": (NOW, NOW)}


@pytest.mark.parametrize(
    ("dropped", "unwanted"),
    [
        ([(9, 59, False)], (NOW - 9, None)),
        ([(9, 58, False), (8, None, False)], (NOW - 8, None)),
        ([(9, 60, False)], (None, None)),
        ([(10, 60, False), (9, 58, False)], (None, None)),
        ([(9, 60, True)], (None, None)),
        ([(9, 59, True)], (None, NOW - 9)),
        ([(10, 59, True), (9, 59, False)], (NOW - 9, NOW - 10)),
        ([(10, 60, True), (9, 59, False)], (NOW - 9, None)),
    ],
)
def test_drop_of_unwanted_push_ids_is_no_loss(dropped, unwanted):
    made = plan({"identifiers": {"chat": 59}, "secureKey": key("chat")})
    since = NOW - REPLAY_WINDOW
    assert made.unwanted_in({"chat": ring("chat", *dropped)}) == {"chat": tuple(floor or since for floor in unwanted)}


def test_group_that_resumes_wants_unnumbered_pushes_too():
    made = plan({"identifiers": {"chat": 59}, "position": NOW - 9})
    assert made.unwanted_in({"chat": ring("chat", (5, 59, False))})["chat"][0] == NOW - 5
    assert made.unwanted_in({"chat": ring("chat", (9, None, False), (5, 1, False))})["chat"][0] == NOW - 5
    assert made.unwanted_in({"chat": ring("chat", (6, None, False), (5, 1, False))})["chat"][0] == NOW - 9


def test_drop_before_the_ring_began_may_be_anything():
    made = plan({"identifiers": {"chat": 59}})
    since = NOW - REPLAY_WINDOW
    assert made.unwanted_in({"chat": ring("chat", (9, 1, False), began=since + 1)})["chat"][0] == since
    assert made.unwanted_in({"chat": ring("chat", (9, 1, False), began=since)})["chat"][0] == NOW - 9


def test_each_of_several_groups_is_hurt_by_itself():
    groups = {"identifiers": {"chat": 59}}, {"identifiers": ["chat"]}
    made = plan(*groups)
    assert made.unwanted_in({"chat": ring("chat", (9, 58, False))})["chat"][0] == NOW
    assert made.unwanted_in({"chat": ring("chat", (9, 60, False))})["chat"][0] == NOW - REPLAY_WINDOW


def test_joined_identifier_goes_on_from_its_cursor():
    joined = {"chat": (GroupFilter(True, 59, NOW - REPLAY_WINDOW, NOW), GroupFilter(True))}
    made = plan({"identifiers": {"chat": 0}}, {"identifiers": ["metrics"]}, joined=joined, at=NOW - 9)
    assert made.filters["chat"] == (GroupFilter(False, 59, NOW - 9, NOW), GroupFilter(False, -1, NOW - 9, NOW - 9))
    assert made.positions == (NOW - 9, NOW)
    assert made.stale == ()
    assert made.lost == frozenset()


def test_repeated_listen_does_not_let_the_filters_grow():
    group = {"identifiers": {"chat": 59}}
    wants = plan(group).filters
    for at in range(NOW - 5, NOW):
        wants = plan(group, group, joined=wants, at=at).filters
    assert len(wants["chat"]) == 1


def calls_of(call):
    """Count the calls of Python functions that a call makes."""
    made = []
    sys.setprofile(lambda _frame, event, _arg: made.append(1) if event == "call" else None)
    try:
        result = call()
    finally:
        sys.setprofile(None)
    return result, len(made)


@pytest.mark.parametrize("is_joined", [False, True])
def test_work_of_a_join_grows_with_its_groups_alone(is_joined):
    """A name in twice as many groups, each with a filter of its own, costs twice the work and not four times."""
    counts = []
    for number in (100, 200):
        groups = [{"identifiers": {"chat": 1 + index}, "position": NOW - 1 - index} for index in range(number)]
        joined = plan(*groups).filters if is_joined else {}
        made, calls = calls_of(partial(plan, *groups, joined=joined, at=NOW - number - 1))
        assert len(made.filters["chat"]) == number
        counts.append(calls)
    assert counts[1] < 2.2 * counts[0]


@pytest.mark.parametrize(
    ("push_id", "secret", "position", "keyed", "lost"),
    [
        (60, False, NOW - REPLAY_WINDOW, False, True),
        (59, False, NOW - REPLAY_WINDOW, False, False),
        (60, False, NOW - REPLAY_WINDOW + 1, False, False),  # It is replayed.
        (None, False, NOW - REPLAY_WINDOW, False, False),
        (60, True, NOW - REPLAY_WINDOW, False, False),
        (60, True, NOW - REPLAY_WINDOW, True, True),
        (60, False, NOW - RETENTION + 1, False, True),
        (60, False, NOW - RETENTION, False, False),  # It is due to be dropped, so it must not matter that it is there.
    ],
)
def test_stale_page_is_told_of_a_kept_push_that_it_missed(push_id, secret, position, keyed, lost):
    ring = RingBuffer.beginning_at(("37282591", "chat"), 0)
    ring.of(secret).append(Push("chat", push_id, secret, position, b"x"), 10, 1000)
    group = {"identifiers": {"chat": 59}}
    made = plan({**group, "secureKey": key("chat")} if keyed else group)
    assert made.lost_in({"chat": ring}) == ({"chat"} if lost else set())


@pytest.mark.parametrize("internal_ids", [(59, 70), (70, 59), (70, 59, 80)])
def test_group_with_the_lowest_internal_id_decides_whether_a_page_is_stale(internal_ids):
    ring = RingBuffer.beginning_at(("37282591", "chat"), 0)
    ring.public.append(Push("chat", 60, False, NOW - REPLAY_WINDOW, b"x"), 10, 1000)
    made = plan(*[{"identifiers": {"chat": internal_id}} for internal_id in internal_ids])
    assert made.lost_in({"chat": ring}) == {"chat"}
    made = plan(*[{"identifiers": {"chat": internal_id}} for internal_id in internal_ids if internal_id > 59])
    assert made.lost_in({"chat": ring}) == set()


def test_no_page_is_stale_with_a_position_or_internal_id_zero():
    made = plan({"identifiers": {"chat": 59}, "position": NOW - 5}, {"identifiers": {"metrics": 0}})
    assert made.stale == ()


def lost_by_looking_at_each(made, rings):
    lost = set(made.lost)
    for name, wanted in made.stale:
        for one in rings[name].after(NOW - RETENTION):
            missed = one.position <= wanted.since and one.push_id is not None and one.push_id > wanted.above
            if missed and (wanted.secret or not one.secret):
                lost.add(name)
    return lost


minutes_ago = st.integers(0, 22).map(lambda half: half * RETENTION // 20)
kept = st.lists(st.tuples(minutes_ago, st.none() | st.integers(0, 9), st.booleans()), max_size=30)


@given(kept, st.sampled_from([1, 1, 8, 40]), st.integers(1, 9), st.booleans(), st.sampled_from([10, 1000]))
def test_stale_page_is_found_as_by_looking_at_each_push(pushes, times, internal_id, keyed, most_pushes):
    ring, position = RingBuffer.beginning_at(("37282591", "chat"), 0), 0
    for back, push_id, secret in sorted(pushes, key=lambda one: -one[0]):
        for _ in range(times):
            position = max(position + 1, NOW - back)
            ring.of(secret).append(Push("chat", push_id, secret, position, b"x"), most_pushes, 10**6)
    group = {"identifiers": {"chat": internal_id}}
    made = plan({**group, "secureKey": key("chat")} if keyed else group)
    assert made.lost_in({"chat": ring}) == lost_by_looking_at_each(made, {"chat": ring})


def test_stale_page_costs_few_looks_at_pushes():
    """A join may name 100 identifiers, and each can have 1,000 pushes that are older than its replay."""
    looks = []

    class Counted(list):
        def __getitem__(self, index):
            found = super().__getitem__(index)
            looks.append(len(found) if isinstance(index, slice) else 1)
            return found

    ring = RingBuffer.beginning_at(("37282591", "chat"), 0)
    for number in range(1000):
        ring.public.append(Push("chat", number, False, NOW - RETENTION + 1 + number, b"x"), 1000, 10**6)
    ring.public._pushes = Counted(ring.public._pushes)
    made = plan({"identifiers": {"chat": 999}})
    assert made.lost_in({"chat": ring}) == set()
    assert ring.bytes_after(NOW - RETENTION + 500, secret=True) == 500
    assert 0 < sum(looks) < 4 * BLOCK


PRIVATE = Account("37282591", ("new secret",), private=("user_*",))


@pytest.mark.parametrize(
    "identifiers",
    [["news", "User_7", "user_8"], {"news": 59, "User_7": 0, "user_8": 1}],
    ids=["from now", "with internal ids"],
)
def test_private_identifiers_without_a_right_are_left_out(identifiers):
    made = plan({"identifiers": identifiers}, account=PRIVATE)
    assert set(made.filters) == {"news"}
    (warning,) = made.warnings
    assert "without user_7, user_8: private" in warning


@pytest.mark.parametrize("since", [{}, {"position": NOW - 10}], ids=["from now", "resuming"])
def test_refused_groups_join_nothing_and_share_one_warning(since):
    many = [{"identifiers": [f"{letter}{number}" for number in range(60)], **since} for letter in "abc"]
    made = plan(*many, {"identifiers": ["news", "user_7"], **since}, account=PRIVATE)
    assert set(made.filters) == {*many[0]["identifiers"], "news"}
    assert made.positions[1:3] == (NOW, NOW)
    first, second = made.warnings
    assert first.startswith("Not joined: b0,b1,")
    assert "100 different identifiers" in first
    assert "c59" in first
    assert "without user_7: private" in second


def test_private_identifiers_are_joined_with_their_right():
    made = plan({"identifiers": ["news", "user_7"], "token": token(60, "user_7")}, account=PRIVATE)
    assert set(made.filters) == {"news", "user_7"}
    assert made.warnings == ()
    assert made.secret == ["user_7"]
