"""What an ask becomes: the first cursors, the filters, the rights, and what is lost."""

import json
from math import inf

import pytest

from cometify.core.account import Account
from cometify.core.group_filter import GroupFilter
from cometify.core.join_plan import make_join_plan
from cometify.core.listen_request import listen_request_from_frame
from cometify.core.md5_signature import secure_key
from cometify.core.position import FLOOR_RETENTION, REPLAY_WINDOW, RETENTION
from cometify.core.push import Push
from cometify.core.ring import RingBuffer
from tests.wire import jwt

ACCOUNT = Account("37282591", ("old secret", "new secret"))
NOW = 1_764_000_000_000_000
WALL = 1_764_000_000.0


def plan(*groups, joined=None, at=0):
    ask = listen_request_from_frame(json.dumps({"type": "listen", "groups": groups}).encode())
    rights = [group.right(ACCOUNT, WALL) for group in ask.groups]
    return make_join_plan(ask, rights, NOW, joined or {}, at)


def key(names, secret="new secret"):
    return secure_key("37282591", secret, names)


def token(lasts, *names):
    return jwt({"exp": WALL + lasts, "identifiers": names}, "new secret")


def test_plain_names_begin_now():
    made = plan({"identifiers": ["Chat", "metrics"]})
    assert made.wants == {name: (GroupFilter(False, -1, NOW, NOW),) for name in ("chat", "metrics")}
    assert (made.positions, made.cursor, made.resumes) == ((NOW,), NOW, False)
    assert (made.warnings, made.lost, made.stale, made.secret) == ((), frozenset(), (), [])


def test_an_internal_id_begins_three_minutes_ago_and_zero_ten():
    made = plan({"identifiers": {"chat": 59}}, {"identifiers": {"metrics": 0}})
    assert made.wants["chat"] == (GroupFilter(False, 59, NOW - REPLAY_WINDOW, NOW),)
    assert made.wants["metrics"] == (GroupFilter(False, -1, NOW - RETENTION, NOW - RETENTION),)
    assert made.positions == (NOW - REPLAY_WINDOW, NOW - RETENTION)
    assert made.cursor == NOW - RETENTION
    assert made.since == {"chat": NOW - REPLAY_WINDOW, "metrics": NOW - RETENTION}
    assert made.reach == {"chat": NOW - RETENTION, "metrics": NOW - RETENTION}


def test_a_group_begins_with_the_first_of_its_identifiers():
    assert plan({"identifiers": {"chat": 59, "metrics": 0}}).positions == (NOW - RETENTION,)


def test_a_position_is_gone_on_from_and_all_groups_must_have_one_to_resume():
    resumed = {"identifiers": ["chat"], "position": NOW - 7}
    made = plan(resumed)
    assert (made.positions, made.resumes, made.lost) == ((NOW - 7,), True, frozenset())
    assert not plan(resumed, {"identifiers": ["metrics"]}).resumes


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
def test_a_position_that_nobody_gave_or_that_is_too_old_is_a_loss(position, lost, begins):
    made = plan({"identifiers": ["chat"], "position": position})
    assert made.lost == ({"chat"} if lost else set())
    assert made.lost_in({}) == made.lost
    assert made.cursor == begins


@pytest.mark.parametrize("secret", ACCOUNT.api_secrets)
def test_a_right_secure_key_of_any_live_secret_gives_the_secret_pushes(secret):
    made = plan({"identifiers": ["Chat", "metrics"], "secureKey": key("Chat,metrics", secret)})
    assert made.secret == ["chat", "metrics"]
    assert made.warnings == ()


@pytest.mark.parametrize("names", ["metrics,Chat", "chat,metrics", "Chat"])
def test_a_secure_key_over_other_names_is_a_warning_that_names_the_group_and_gives_nothing(names):
    made = plan({"identifiers": ["Chat", "metrics"], "secureKey": key(names)})
    assert made.secret == []
    (warning,) = made.warnings
    assert "Chat,metrics" in warning
    assert "secret" not in warning.replace("apiSecret", "").replace("secret pushes", "")


def test_a_token_gives_the_secret_pushes_of_what_it_names_and_the_others_join_without():
    made = plan({"identifiers": ["Chat", "metrics"], "token": token(60, "chat", "other")})
    assert made.wants == {"chat": (GroupFilter(True, -1, NOW, NOW),), "metrics": (GroupFilter(False, -1, NOW, NOW),)}
    assert (made.secret, made.warnings, made.until) == (["chat"], (), WALL + 60)


def test_a_token_that_names_nothing_of_its_group_is_a_warning_and_never_ends():
    made = plan({"identifiers": ["Chat", "metrics"], "token": token(60, "other")})
    assert (made.secret, made.until) == ([], inf)
    (warning,) = made.warnings
    assert "Chat,metrics" in warning


def test_a_right_by_keys_never_ends():
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
def test_it_ends_when_the_first_identifier_has_its_right_from_no_group_any_more(tokens, keyed, until):
    groups = [{"identifiers": names.split(","), "token": token(lasts, covered)} for names, lasts, covered in tokens]
    if keyed:
        groups.append({"identifiers": keyed, "secureKey": key(keyed)})
    for order in (groups, groups[::-1]):
        assert plan(*order).until == (WALL + until if until < inf else inf)


def test_an_identifier_in_several_groups_has_what_each_lets_through_once():
    made = plan(
        {"identifiers": ["chat"]},
        {"identifiers": ["CHAT"], "secureKey": key("CHAT")},
        {"identifiers": ["chat"]},
    )
    assert made.wants["chat"] == (GroupFilter(False, -1, NOW, NOW), GroupFilter(True, -1, NOW, NOW))
    assert made.positions == (NOW, NOW, NOW)
    assert made.secret == ["chat"]


def ring(name, *dropped, began=0):
    """One that has dropped these: positions before now, push_ids (None: none), and whether they were secret."""
    made = RingBuffer(("37282591", name), began, began)
    for back, push_id, secret in dropped:
        made.append(Push(name, push_id, secret, NOW - back, b"{}"), 1, 100)
    made.append(Push(name, None, False, NOW, b"{}"), 1, 100)
    return made


def test_no_loss_is_told_of_what_nobody_wants():
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
def test_no_loss_is_told_of_what_was_dropped_if_nobody_wanted_it(dropped, unwanted):
    made = plan({"identifiers": {"chat": 59}, "secureKey": key("chat")})
    since = NOW - REPLAY_WINDOW
    assert made.unwanted_in({"chat": ring("chat", *dropped)}) == {"chat": tuple(floor or since for floor in unwanted)}


def test_who_resumes_wants_what_has_no_number_too():
    made = plan({"identifiers": {"chat": 59}, "position": NOW - 9})
    assert made.unwanted_in({"chat": ring("chat", (5, 59, False))})["chat"][0] == NOW - 5
    assert made.unwanted_in({"chat": ring("chat", (9, None, False), (5, 1, False))})["chat"][0] == NOW - 5
    assert made.unwanted_in({"chat": ring("chat", (6, None, False), (5, 1, False))})["chat"][0] == NOW - 9


def test_what_was_dropped_before_all_that_is_known_may_be_anything():
    made = plan({"identifiers": {"chat": 59}})
    since = NOW - REPLAY_WINDOW
    assert made.unwanted_in({"chat": ring("chat", (9, 1, False), began=since + 1)})["chat"][0] == since
    assert made.unwanted_in({"chat": ring("chat", (9, 1, False), began=since)})["chat"][0] == NOW - 9


def test_of_several_groups_each_is_hurt_by_itself():
    groups = {"identifiers": {"chat": 59}}, {"identifiers": ["chat"]}
    made = plan(*groups)
    assert made.unwanted_in({"chat": ring("chat", (9, 58, False))})["chat"][0] == NOW
    assert made.unwanted_in({"chat": ring("chat", (9, 60, False))})["chat"][0] == NOW - REPLAY_WINDOW


def test_who_listens_already_goes_on_from_its_cursor_with_the_right_it_has_now():
    joined = {"chat": (GroupFilter(True, 59, NOW - REPLAY_WINDOW, NOW), GroupFilter(True))}
    made = plan({"identifiers": {"chat": 0}}, {"identifiers": ["metrics"]}, joined=joined, at=NOW - 9)
    assert made.wants["chat"] == (GroupFilter(False, 59, NOW - 9, NOW), GroupFilter(False, -1, NOW - 9, NOW - 9))
    assert made.positions == (NOW - 9, NOW)
    assert made.stale == ()
    assert made.lost == frozenset()


def test_a_listen_sent_over_and_over_does_not_let_the_filters_grow():
    group = {"identifiers": {"chat": 59}}
    wants = plan(group).wants
    for at in range(NOW - 5, NOW):
        wants = plan(group, group, joined=wants, at=at).wants
    assert len(wants["chat"]) == 1


@pytest.mark.parametrize(
    ("push_id", "secret", "position", "keyed", "lost"),
    [
        (60, False, NOW - REPLAY_WINDOW, False, True),
        (59, False, NOW - REPLAY_WINDOW, False, False),
        (60, False, NOW - REPLAY_WINDOW + 1, False, False),  # it is replayed
        (None, False, NOW - REPLAY_WINDOW, False, False),
        (60, True, NOW - REPLAY_WINDOW, False, False),
        (60, True, NOW - REPLAY_WINDOW, True, True),
    ],
)
def test_a_page_older_than_the_replay_is_told_of_a_kept_push_that_it_missed(push_id, secret, position, keyed, lost):
    ring = RingBuffer(("37282591", "chat"), 0, 0)
    ring.append(Push("chat", push_id, secret, position, b"x"), 10, 1000)
    group = {"identifiers": {"chat": 59}}
    made = plan({**group, "secureKey": key("chat")} if keyed else group)
    assert made.lost_in({"chat": ring}) == ({"chat"} if lost else set())


def test_with_a_position_or_with_the_internal_id_zero_no_page_is_stale():
    made = plan({"identifiers": {"chat": 59}, "position": NOW - 5}, {"identifiers": {"metrics": 0}})
    assert made.stale == ()
