"""Identifiers and the lists of them."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cometify.core import errors
from cometify.core.identifier import (
    ANY,
    EXTENDED,
    MAX_IDENTIFIERS,
    PLAIN,
    Identifier,
    Names,
    names_from_json,
    names_from_query,
)
from tests.samples import refusal, vectors

VECTORS = vectors("identifiers")
LETTERS = string.ascii_letters
REST = LETTERS + string.digits + "_"
IDENTIFIERS = st.builds(str.__add__, st.sampled_from(LETTERS), st.text(REST, max_size=59))


@pytest.mark.parametrize("text", VECTORS["valid"])
def test_valid_identifier_keeps_spelling_and_folds_case(text):
    one = Identifier.read(text)
    assert (one.spelled, one.folded) == (text, text.lower())


@pytest.mark.parametrize("value", [*VECTORS["invalid"], None, 1, True, b"chat", ["chat"], {"chat": 1}])
def test_invalid_identifier_is_refused(value):
    assert refusal(Identifier.read, value).code is errors.INVALID_IDENTIFIER


@given(st.text(max_size=62) | IDENTIFIERS | st.builds(str.__add__, IDENTIFIERS, st.sampled_from("\n\r\0 -\u2028")))
@example("chat\n")
@example("a" * 60 + "\n")
@example("\ud800")
def test_identifier_is_matched_to_its_last_character(text):
    good = 1 <= len(text) <= 60 and text[0] in LETTERS and all(character in REST for character in text)
    if good:
        assert Identifier.read(text).spelled == text
    else:
        refused = refusal(Identifier.read, text)
        assert refused.code is errors.INVALID_IDENTIFIER
        assert refused.detail.isprintable()


def test_spellings_of_one_identifier_are_equal():
    assert Identifier.read("Chat") == Identifier.read("cHAT")
    assert hash(Identifier.read("Chat")) == hash(Identifier.read("cHAT"))
    assert Identifier.read("chat") != Identifier.read("chat2")


def test_refusal_shows_the_beginning_of_the_value():
    assert "'a-b'" in refusal(Identifier.read, "a-b").detail
    assert f"'{'-' * 64}'" in refusal(Identifier.read, "-" * 64).detail
    assert f"'{'-' * 61}...'" in refusal(Identifier.read, "-" * 65).detail
    assert refusal(Identifier.read, {"private": 1}).detail.startswith("The value is not an identifier")


@pytest.mark.parametrize("vector", VECTORS["lists"], ids=lambda vector: vector["query"])
def test_query_is_a_list_in_the_order_sent(vector):
    names = names_from_query(vector["query"])
    assert [one.spelled for one in names.identifiers] == vector["identifiers"]
    assert names.spelled == ",".join(vector["identifiers"])
    expected = vector["internal_ids"]
    assert names.internal_ids == (expected if expected is None else tuple(int(digits) for digits in expected))


@pytest.mark.parametrize("vector", VECTORS["refused_lists"], ids=lambda vector: ascii(vector["query"]))
def test_invalid_list_is_refused(vector):
    assert refusal(names_from_query, vector["query"]).code.name == vector["code"]


@pytest.mark.parametrize(
    ("value", "spelled", "internal_ids"),
    [
        ("Chat", "Chat", None),
        (["b", "A"], "b,A", None),
        ({"metrics": 59, "tweets": "9223372036854775807"}, "metrics,tweets", (59, 2**63 - 1)),
    ],
)
def test_json_has_three_forms(value, spelled, internal_ids):
    names = names_from_json(value)
    assert (names.spelled, names.internal_ids) == (spelled, internal_ids)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, errors.MISSING_PARAMETER),
        (1, errors.INVALID_PARAMETER),
        (True, errors.INVALID_PARAMETER),
        ([], errors.INVALID_PARAMETER),
        ({}, errors.INVALID_PARAMETER),
        ("", errors.INVALID_IDENTIFIER),
        ("chat,metrics", errors.INVALID_IDENTIFIER),
        (["chat", None], errors.INVALID_IDENTIFIER),
        ([["chat"]], errors.INVALID_IDENTIFIER),
        (["chat", "CHAT"], errors.INVALID_PARAMETER),
        ({"chat": 1, "Chat": 1}, errors.INVALID_PARAMETER),
        ({"chat": None}, errors.INVALID_PARAMETER),
        ({"chat": 1.5}, errors.INVALID_PARAMETER),
    ],
)
def test_invalid_json_list_is_refused(value, code):
    assert refusal(names_from_json, value).code is code


def test_refusal_names_the_identifier_at_fault():
    assert "CHAT is given twice" in refusal(names_from_query, "chat,a,CHAT,a").detail
    assert "internal id of metrics" in refusal(names_from_query, "chat:1,metrics:x").detail


def test_hundred_identifiers_are_allowed_and_no_more():
    many = [f"a{number}" for number in range(MAX_IDENTIFIERS + 1)]
    assert len(names_from_json(many[:-1]).identifiers) == 100
    assert len(names_from_query(",".join(many[:-1])).identifiers) == 100
    assert "101 were given" in refusal(names_from_json, many).detail
    assert "101 were given" in refusal(names_from_query, ",".join(many)).detail


@given(st.lists(IDENTIFIERS, min_size=1, max_size=10, unique_by=str.lower))
def test_query_and_array_give_the_same_list(texts):
    names = names_from_query(",".join(texts))
    assert names == names_from_json(texts)
    assert names.spelled == ",".join(texts)


@given(st.text() | st.text("aB1_:,\n", max_size=12))
def test_any_query_is_a_list_or_refused(text):
    try:
        names = names_from_query(text)
    except errors.Refused:
        return
    assert isinstance(names, Names)
    assert names.identifiers


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "because it is empty"),
        ("user-7", "because of the character '-'"),
        ("a b", "because of the character ' '"),
        ("caf\u00e9", "because of the character '\u00e9'"),
        ("1chat", "because it begins with '1'"),
        ("_chat", "because it begins with '_'"),
        ("x" * 61, "because it has 61 characters"),
        ("chat\n", r"because of the character '\n'"),
    ],
)
def test_refusal_tells_why_a_text_is_no_identifier(value, reason):
    assert f" is not an identifier {reason}: write 1 to 60" in refusal(Identifier.read, value).detail


# Accounts with `identifiers = "extended"`.

EXTENDED_NAMES = VECTORS["extended"]["valid"]


@pytest.mark.parametrize("spelling", [EXTENDED, ANY])
@pytest.mark.parametrize("text", [*VECTORS["valid"], *EXTENDED_NAMES])
def test_extended_account_allows_both_spellings(text, spelling):
    one = Identifier.read(text, spelling)
    assert (one.spelled, one.folded) == (text, text.lower())
    assert one.is_extended is (text not in VECTORS["valid"])


@pytest.mark.parametrize("spelling", [EXTENDED, ANY])
@pytest.mark.parametrize("value", VECTORS["extended"]["invalid"])
def test_other_names_are_refused_in_extended_accounts(value, spelling):
    refused = refusal(Identifier.read, value, spelling)
    assert refused.code is errors.INVALID_IDENTIFIER
    assert refused.detail.isprintable()


@given(st.text(REST + ".-", max_size=104) | st.text(max_size=104))
@example("a" * 100 + "\n")
@example("a.b\n")
def test_extended_identifier_is_matched_to_its_last_one(text):
    characters = REST + ".-"
    good = 1 <= len(text) <= 100 and text[0] in LETTERS and all(character in characters for character in text)
    assert EXTENDED.allows(text) is good
    if good:
        assert Identifier.read(text, EXTENDED).spelled == text
    else:
        assert refusal(Identifier.read, text, EXTENDED).code is errors.INVALID_IDENTIFIER


@pytest.mark.parametrize("text", ["order.42", "private-chat", "x" * 61])
def test_what_one_account_may_have_reaches_no_other(text):
    """Read by the wider rule first, so that a cache in common would give it to the account with the other one."""
    for _ in range(2):
        for spelling in (EXTENDED, ANY):
            assert Identifier.read(text, spelling).spelled == text
            assert names_from_query(f"chat,{text}", spelling).folded == ("chat", text)
            assert names_from_json(["chat", text], spelling).folded == ("chat", text)
        for call, value in ((Identifier.read, text), (names_from_query, f"chat,{text}"), (names_from_json, [text])):
            assert refusal(call, value).code is errors.INVALID_IDENTIFIER
            assert refusal(call, value, PLAIN).code is errors.INVALID_IDENTIFIER


def test_colon_separates_an_internal_id_from_any_name():
    names = names_from_query("order.42:7,private-chat:0", EXTENDED)
    assert (names.folded, names.internal_ids) == (("order.42", "private-chat"), (7, 0))
    assert names_from_json({"order.42": 7, "private-chat": 0}, EXTENDED) == names


@pytest.mark.parametrize(
    ("spelling", "value", "words"),
    [
        (PLAIN, "a.b", ["because of the character '.'", "write 1 to 60 of", 'identifiers = "extended"']),
        (PLAIN, "x" * 61, ["because it has 61 characters", "write 1 to 60 of"]),
        (EXTENDED, "a b", ["because of the character ' '", "write 1 to 100 of", "dot and hyphen"]),
        (EXTENDED, "x" * 101, ["because it has 101 characters", "write 1 to 100 of"]),
        (EXTENDED, "-a", ["because it begins with '-'", "write 1 to 100 of"]),
        (ANY, "a b", ["because of the character ' '", "write 1 to 60 of", 'identifiers = "extended"', "1 to 100"]),
    ],
)
def test_refusal_tells_the_rule_of_the_account(spelling, value, words):
    detail = refusal(Identifier.read, value, spelling).detail
    assert all(word in detail for word in words), detail
