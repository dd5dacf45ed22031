"""Integers on the wire."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core import errors
from cometify.core.integer import MAX_EXACT, MAX_ID, read_integer, write_integer


def refusal(value, highest=MAX_ID):
    with pytest.raises(errors.Refused) as caught:
        read_integer(value, "push_id", highest)
    assert caught.value.code is errors.INVALID_PARAMETER
    assert "push_id" in caught.value.detail
    return caught.value.detail


@given(st.integers(0, MAX_ID))
def test_written_integer_is_read_back_and_never_rounded(number):
    value = json.loads(write_integer(number))
    assert read_integer(value, "push_id", MAX_ID) == number
    assert isinstance(value, str) == (number > MAX_EXACT)


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "0"), (MAX_EXACT, "9007199254740991"), (MAX_EXACT + 1, '"9007199254740992"'), (MAX_ID, f'"{MAX_ID}"')],
)
def test_integer_above_the_exact_ones_is_written_as_string(number, written):
    assert write_integer(number) == written


@pytest.mark.parametrize(
    ("value", "number"),
    [("0", 0), ("007", 7), (0, 0), (MAX_EXACT, MAX_EXACT), (str(MAX_ID), MAX_ID), ("0" * 19, 0)],
)
def test_digits_and_exact_numbers_are_read(value, number):
    assert read_integer(value, "push_id", MAX_ID) == number


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "1_0",
        "1.0",
        "1e3",
        "0x1",
        "\u0661",
        "\u00b2",
        "9223372036854775808",
        "0" * 20,
        -1,
        1.0,
        0.5,
        float("inf"),
        float("nan"),
        True,
        False,
        None,
        [],
        [1],
        {},
        MAX_ID + 1,
        -(2**70),
        2**70,
    ],
)
def test_other_value_is_refused_with_the_range(value):
    assert f"from 0 to {MAX_ID}" in refusal(value)


@pytest.mark.parametrize("value", [MAX_EXACT + 1, MAX_ID])
def test_rounded_number_is_refused_with_the_form_to_write(value):
    assert "string of digits" in refusal(value)


@pytest.mark.parametrize("value", [MAX_EXACT + 1, str(MAX_EXACT + 1)])
def test_highest_is_the_highest_in_either_form(value):
    assert f"from 0 to {MAX_EXACT}" in refusal(value, MAX_EXACT)


@given(st.text() | st.text("0123456789\u0661 -+", max_size=25))
def test_any_text_is_an_integer_in_range_or_refused(text):
    try:
        number = read_integer(text, "push_id", MAX_ID)
    except errors.Refused as refused:
        assert refused.code is errors.INVALID_PARAMETER  # noqa: PT017
    else:
        assert 0 <= number <= MAX_ID
        assert set(text) <= set("0123456789")
