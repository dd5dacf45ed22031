"""Groups and their right to secret pushes."""

from math import inf

import pytest

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.group import NO_RIGHT, Group, Right
from cometify.core.identifier import names_from_query
from cometify.core.listen_request import ListenRequest, listen_request_from_query
from cometify.core.md5_signature import secure_key
from tests.samples import refusal
from tests.wire import jwt

ACCOUNT = Account("1", ("c1h89chHaka9s1",))
RIGHT = "d6d02dbf813a87619a1ab325878942b0"
WALL = 1_764_000_000.0


def names_of(group, account=ACCOUNT):
    return group.right(account, WALL).names


def test_secure_key_gives_the_right_to_exactly_its_list():
    assert Group(names_from_query("metrics,tweets"), RIGHT).right(ACCOUNT, WALL) == Right({"metrics", "tweets"}, inf)
    assert names_of(Group(names_from_query("metrics:1,tweets:0"), RIGHT.upper())) == {"metrics", "tweets"}
    for other in ("tweets,metrics", "metrics", "Metrics,tweets", "metrics,tweets,chat"):
        assert Group(names_from_query(other), RIGHT).right(ACCOUNT, WALL) == NO_RIGHT


def test_group_without_a_key_has_no_right():
    assert Group(names_from_query("metrics,tweets")).right(ACCOUNT, WALL) == NO_RIGHT
    assert Group(names_from_query("metrics,tweets"), "").right(ACCOUNT, WALL) == NO_RIGHT


def test_key_of_a_live_secret_counts_and_of_a_revoked_one_not():
    group = Group(names_from_query("chat"), secure_key("1", "old", "chat"))
    assert names_of(group, Account("1", ("new", "old"))) == {"chat"}
    assert names_of(group, Account("1", ("old", "new"))) == {"chat"}
    assert names_of(group, Account("1", ("new",))) == set()


def tokened(names, *covered, secret="c1h89chHaka9s1", lasts=60, **claims):
    token = jwt({"exp": WALL + lasts, "identifiers": covered, **claims}, secret)
    return listen_request_from_query({"identifiers": [names], "token": [token]}).groups[0]


def test_token_gives_the_right_to_its_names_until_it_expires():
    group = tokened("Metrics:1,tweets:0,room_7:1", "METRICS", "Room_*", "other")
    assert group.right(ACCOUNT, WALL) == Right({"metrics", "room_7"}, WALL + 60)
    assert tokened("tweets", "metrics").right(ACCOUNT, WALL) == NO_RIGHT


def test_right_keeps_the_subject_even_if_nothing_is_covered():
    mine = {"sub": "user_7", "iat": WALL - 5}
    subject = ("user_7", WALL - 5)
    assert tokened("metrics", "metrics", **mine).right(ACCOUNT, WALL) == Right({"metrics"}, WALL + 60, subject)
    assert tokened("tweets", "metrics", **mine).right(ACCOUNT, WALL) == Right(frozenset(), inf, subject)
    assert tokened("chat", "chat", sub="user_7").right(ACCOUNT, WALL).subject == ("user_7", -inf)


@pytest.mark.parametrize("wrong", [{"secret": "another"}, {"lasts": 0}])
def test_wrong_token_is_refused_or_gives_no_right_once_joined(wrong):
    group = tokened("metrics", "metrics", **wrong)
    assert refusal(group.right, ACCOUNT, WALL).code is errors.INVALID_TOKEN
    assert group.right_left(ACCOUNT, WALL) == NO_RIGHT
    assert tokened("metrics", "metrics").right_left(ACCOUNT, WALL).names == {"metrics"}


def test_repr_shows_neither_key_nor_token():
    assert RIGHT not in repr(Group(names_from_query("chat"), RIGHT))
    group = tokened("chat", "chat")
    assert group.token
    assert group.token not in repr(ListenRequest((group,)))
