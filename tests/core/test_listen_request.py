"""Requests to listen, from a query or a frame."""

import json

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.group import NO_RIGHT, Group
from cometify.core.identifier import names_from_query
from cometify.core.integer import MAX_EXACT
from cometify.core.listen_request import (
    ListenRequest,
    listen_request_from_frame,
    listen_request_from_query,
    wants_raw_events,
)
from tests.samples import JSON, refusal

ACCOUNT = Account("1", ("c1h89chHaka9s1",))
RIGHT = "d6d02dbf813a87619a1ab325878942b0"
NOW = 1_764_000_000_000_000
WALL = 1_764_000_000.0
MEMBERS = ("identifiers", "secureKey", "token", "position")


def listen(*groups, **more):
    return json.dumps({"type": "listen", "groups": groups, **more}).encode()


# By query


def test_query_is_one_group():
    request = listen_request_from_query(
        {
            "identifiers": ["chat:59,metrics:0"],
            "secureKey": [RIGHT],
            "position": ["7"],
            "listener": ["9f2c51d07ab34e18"],
            "utm": ["1", "2"],
        }
    )
    assert request == ListenRequest((Group(names_from_query("chat:59,metrics:0"), RIGHT, 7),), "9f2c51d07ab34e18")


def test_all_but_identifiers_may_be_missing_or_empty():
    expected = ListenRequest((Group(names_from_query("chat")),))
    assert listen_request_from_query({"identifiers": ["chat"]}) == expected
    empty = {"identifiers": ["chat"], "secureKey": [""], "token": [""], "position": [""], "listener": [""]}
    assert listen_request_from_query(empty, "") == expected


@pytest.mark.parametrize("parameters", [{}, {"identifiers": []}, {"identifiers": [""]}])
def test_query_without_identifiers_is_refused(parameters):
    assert refusal(listen_request_from_query, parameters).code is errors.MISSING_PARAMETER


@pytest.mark.parametrize("name", [*MEMBERS, "listener"])
def test_repeated_parameter_is_refused(name):
    refused = refusal(listen_request_from_query, {"identifiers": ["chat"], name: ["chat", "chat"]})
    assert refused.code is errors.REPEATED_PARAMETER
    assert name in refused.detail


def test_last_event_id_wins_over_position():
    parameters = {"identifiers": ["chat"], "position": ["7"]}
    assert listen_request_from_query(parameters, "8").groups[0].position == 8
    assert listen_request_from_query(parameters, "").groups[0].position == 7
    wrong = refusal(listen_request_from_query, parameters, "x")
    assert (wrong.code, wrong.detail[:14]) == (errors.INVALID_PARAMETER, "Last-Event-ID ")


@given(
    st.dictionaries(
        st.sampled_from([*MEMBERS, "listener"]), st.lists(st.text() | st.sampled_from(["a", "b:1", "7"]), max_size=2)
    ),
    st.none() | st.text(),
)
def test_any_query_is_a_request_or_refused(parameters, resume):
    try:
        request = listen_request_from_query(parameters, resume)
    except errors.Refused:
        return
    assert len(request.groups) == 1


# By frame


def test_frame_has_its_groups_in_order():
    request = listen_request_from_frame(
        listen(
            {"identifiers": ["guestbook", "comments"], "secureKey": RIGHT, "position": NOW},
            {"identifiers": {"metrics": 59, "tweets": 100}, "more": 1},
            {"identifiers": "chat", "secureKey": None, "token": None, "position": None},
            listener="9f2c51d07ab34e18",
            more=[],
        )
    )
    assert request.listener == "9f2c51d07ab34e18"
    assert request.groups == (
        Group(names_from_query("guestbook,comments"), RIGHT, NOW),
        Group(names_from_query("metrics:59,tweets:100")),
        Group(names_from_query("chat")),
    )


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{}", b"\xff", b'{"type":"push","groups":[]}', b'{"type":[]}'])
def test_other_message_than_a_listen_frame_is_refused(data):
    assert refusal(listen_request_from_frame, data).code is errors.INVALID_BODY


@pytest.mark.parametrize("data", [b'{"type":"listen"}', b'{"type":"listen","groups":null}'])
def test_frame_without_groups_is_refused(data):
    assert refusal(listen_request_from_frame, data).code is errors.MISSING_PARAMETER


@pytest.mark.parametrize("groups", [[], {}, "chat", 1, False, ["chat"], [{"identifiers": "chat"}, None], [[]]])
def test_groups_are_an_array_of_objects(groups):
    data = json.dumps({"type": "listen", "groups": groups}).encode()
    assert refusal(listen_request_from_frame, data).code is errors.INVALID_PARAMETER


def test_identifier_twice_in_an_object_is_refused():
    data = b'{"type":"listen","groups":[{"identifiers":{"chat":1,"chat":2}}]}'
    assert refusal(listen_request_from_frame, data).code is errors.INVALID_PARAMETER


@pytest.mark.parametrize(
    ("group", "code"),
    [
        ({}, errors.MISSING_PARAMETER),
        ({"identifiers": "chat\n"}, errors.INVALID_IDENTIFIER),
        ({"identifiers": "chat", "secureKey": 1}, errors.INVALID_PARAMETER),
        ({"identifiers": "chat", "token": 1}, errors.INVALID_PARAMETER),
        ({"identifiers": "chat", "token": ["a.b.c"]}, errors.INVALID_PARAMETER),
        ({"identifiers": "chat", "token": "a.b.c", "secureKey": RIGHT}, errors.INVALID_PARAMETER),
        ({"identifiers": "chat", "position": -1}, errors.INVALID_PARAMETER),
        ({"identifiers": "chat", "position": 1.5}, errors.INVALID_PARAMETER),
        ({"identifiers": "chat", "position": MAX_EXACT + 1}, errors.INVALID_PARAMETER),
        ({"identifiers": "chat", "position": str(MAX_EXACT + 1)}, errors.INVALID_PARAMETER),
    ],
)
def test_invalid_group_is_refused(group, code):
    assert refusal(listen_request_from_frame, listen(group)).code is code


def test_hundred_identifiers_over_all_groups_and_no_more():
    first, second = ([f"{letter}{number}" for number in range(60)] for letter in "ab")
    request = listen_request_from_frame(listen({"identifiers": first}, {"identifiers": second[:40]}))
    assert (len(request.names), request.refused) == (100, [])
    request = listen_request_from_frame(listen({"identifiers": first}, {"identifiers": second[:41]}))
    assert (sorted(request.names), request.refused) == (sorted(first), [1])


def test_group_too_many_is_refused_alone():
    groups = [{"identifiers": [f"{letter}{number}" for number in range(45)]} for letter in "abcd"]
    request = listen_request_from_frame(listen(*groups, {"identifiers": "small"}, {"identifiers": "d0"}))
    assert request.refused == [2, 3]
    assert [len(group.names.folded) for group in request.groups] == [45, 45, 45, 45, 1, 1]
    assert len(request.names) == 45 + 45 + 2


def test_refused_group_has_no_right_whatever_its_token():
    account = attrs.evolve(ACCOUNT, private=("b*",))
    many = [{"identifiers": [f"{letter}{number}" for number in range(60)], "token": "no token"} for letter in "ab"]
    group = listen_request_from_frame(listen(*many)).groups[1]
    assert group.right(account, 0) == group.right_left(account, 0)
    assert group.wanted(group.right(account, 0)) == ()


def test_identifier_in_several_groups_counts_once():
    many = [f"a{number}" for number in range(100)]
    upper = [name.upper() for name in many]
    request = listen_request_from_frame(listen({"identifiers": many}, {"identifiers": upper}, {"identifiers": "a7"}))
    assert (sorted(request.names), request.refused) == (sorted(many), [])
    assert list(listen_request_from_frame(listen({"identifiers": upper})).names) == many
    assert listen_request_from_frame(listen({"identifiers": many}, {"identifiers": ["A1", "b"]})).refused == [1]
    assert len(listen_request_from_frame(listen(*[{"identifiers": "chat"}] * 400)).groups) == 400


def test_groups_name_a_thousand_in_all_and_no_more():
    many = {"identifiers": [f"a{number}" for number in range(100)]}
    assert listen_request_from_frame(listen(*[many] * 10)).refused == []
    assert listen_request_from_frame(listen(*[many] * 10, {"identifiers": "a1"})).refused == [10]


@pytest.mark.parametrize("listener", ["a" * 8, "A-_9" * 16, "--------"])
def test_listener_id_is_read(listener):
    assert listen_request_from_frame(listen({"identifiers": "chat"}, listener=listener)).listener == listener
    assert listen_request_from_query({"identifiers": ["chat"], "listener": [listener]}).listener == listener


@pytest.mark.parametrize(
    "listener", ["", "a" * 7, "a" * 65, "a" * 8 + "\n", "ä" * 8, "a b c d e", 12345678, [], ["a"] * 8]
)
def test_invalid_listener_id_is_refused(listener):
    assert (
        refusal(listen_request_from_frame, listen({"identifiers": "chat"}, listener=listener)).code
        is errors.INVALID_PARAMETER
    )


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_message_is_a_request_or_refused(data):
    try:
        request = listen_request_from_frame(data)
    except errors.Refused:
        return
    assert request.groups


@given(
    st.lists(st.dictionaries(st.sampled_from(MEMBERS), JSON | st.sampled_from(["chat", {"a": 1}, ["a", "b"]]))),
    JSON,
)
@example([{"identifiers": "\ud800"}], None)
@example([{"identifiers": "chat", "secureKey": "\ud800"}], None)
def test_any_listen_frame_is_a_request_or_refused(groups, listener):
    try:
        request = listen_request_from_frame(listen(*groups, listener=listener))
    except errors.Refused as refused:
        assert refused.detail.encode()  # noqa: PT017
        return
    assert len(request.groups) == len(groups)
    for group in request.groups:
        assert group.right_left(ACCOUNT, WALL) == NO_RIGHT


@pytest.mark.parametrize(("query", "raw"), [({}, False), ({"form": [""]}, False), ({"form": ["raw"]}, True)])
def test_form_of_an_event_stream_is_raw_or_frames(query, raw):
    assert wants_raw_events(query) is raw


@pytest.mark.parametrize(("form", "code"), [(["json"], "invalid_parameter"), (["raw", "raw"], "repeated_parameter")])
def test_other_form_of_an_event_stream_is_refused(form, code):
    assert refusal(wants_raw_events, {"form": form}).code.name == code
