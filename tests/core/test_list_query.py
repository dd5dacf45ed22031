"""The queries of a back end: what they may have, and what is refused."""

import pytest

from cometify.core.errors import Refused
from cometify.core.identifier_page import AskedNames
from cometify.core.integer import MAX_ID
from cometify.core.list_query import (
    DEFAULT_LIMIT,
    check_no_parameters,
    read_asked_accounts,
    read_asked_names,
    read_asked_pushes,
)
from cometify.core.push_page import AskedPushes


def query(**values):
    return {name: value if isinstance(value, list) else [value] for name, value in values.items()}


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        ({}, AskedNames("", "", DEFAULT_LIMIT)),
        ({"prefix": "", "after": "", "limit": ""}, AskedNames("", "", DEFAULT_LIMIT)),
        ({"prefix": "User_", "after": "User_7", "limit": "1000"}, AskedNames("user_", "user_7", 1000)),
        ({"prefix": "a.b-c", "limit": "1"}, AskedNames("a.b-c", "", 1)),
    ],
)
def test_question_for_identifiers_is_read(sent, asked):
    assert read_asked_names(query(**sent)) == asked


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        ({}, AskedPushes(None, DEFAULT_LIMIT)),
        ({"after": "", "limit": "7"}, AskedPushes(None, 7)),
        ({"after": "0"}, AskedPushes(0, DEFAULT_LIMIT)),
        ({"after": str(MAX_ID)}, AskedPushes(MAX_ID, DEFAULT_LIMIT)),
    ],
)
def test_question_for_pushes_is_read(sent, asked):
    assert read_asked_pushes(query(**sent)) == asked


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        ({}, ("", DEFAULT_LIMIT)),
        ({"after": "37282591", "limit": "7"}, ("37282591", 7)),
        ({"after": ""}, ("", DEFAULT_LIMIT)),
    ],
)
def test_question_for_accounts_is_read(sent, asked):
    assert read_asked_accounts(query(**sent)) == asked


@pytest.mark.parametrize(
    ("read", "sent", "code"),
    [
        (read_asked_names, {"position": "7"}, "unknown_parameter"),
        (read_asked_pushes, {"prefix": "a"}, "unknown_parameter"),
        (check_no_parameters, {"limit": "7"}, "unknown_parameter"),
        (read_asked_names, {"limit": ["7", "7"]}, "repeated_parameter"),
        (read_asked_names, {"limit": "0"}, "invalid_parameter"),
        (read_asked_names, {"limit": "1001"}, "invalid_parameter"),
        (read_asked_names, {"limit": "-1"}, "invalid_parameter"),
        (read_asked_names, {"prefix": "9"}, "invalid_parameter"),
        (read_asked_names, {"prefix": "a*"}, "invalid_parameter"),
        (read_asked_names, {"after": "a" * 101}, "invalid_parameter"),
        (read_asked_accounts, {"prefix": "a"}, "unknown_parameter"),
        (read_asked_pushes, {"after": "chat"}, "invalid_parameter"),
        (read_asked_pushes, {"after": str(MAX_ID + 1)}, "invalid_parameter"),
    ],
)
def test_wrong_query_is_refused_and_told_why(read, sent, code):
    with pytest.raises(Refused) as refused:
        read(query(**sent))
    assert refused.value.code.name == code
    assert next(iter(sent)) in refused.value.detail or code == "unknown_parameter"


def test_path_without_a_query_is_taken():
    check_no_parameters({})
