"""JSON that two parsers could read in two ways is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core import errors
from cometify.core.strict_json import MOST_DIGITS, MOST_PARTS, SHORT, SOME_FLOAT, SentValue, read_json
from tests.samples import JSON


def refusal(body, repeated=errors.REPEATED_PARAMETER):
    with pytest.raises(errors.Refused) as caught:
        read_json(body, repeated)
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"text":}',
        b'{"text":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b'{"push_id":NaN}',
        b'{"push_id":Infinity}',
        b'{"push_id":-Infinity}',
        b'{"text":"\n"}',
        b"{} {}",
        b"[" * 100000,
        b'{"a":' * 100000,
        b'{"push_id":' + b"9" * 10000 + b"}",
    ],
    ids=lambda body: ascii(body[:20]),
)
def test_invalid_json_is_refused(body):
    assert refusal(body).code is errors.INVALID_BODY


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"secret":0,"text":"a","text":"a"}', '"text"'),
        (b'{"more":{"name of a person":1,"name of a person":2}}', "A name"),
        (b'[{"text":1,"te\\u0078t":1}]', '"text"'),
        (b'{"\\ud800":1,"\\ud800":1}', "A name"),
        (b'{"%b":1,"%b":1}' % (b"x" * 99, b"x" * 99), "A name"),
    ],
)
@pytest.mark.parametrize("code", [errors.REPEATED_PARAMETER, errors.INVALID_TOKEN])
def test_repeated_name_is_refused_with_the_callers_code(body, name, code):
    refused = refusal(body, code)
    assert refused.code is code
    assert refused.detail == f"{name} stands twice in one JSON object: send it once."


@given(JSON)
def test_json_is_read_as_it_was_written(value):
    try:
        written = json.dumps(value, allow_nan=False)
    except ValueError:
        assert refusal(json.dumps(value).encode()).code is errors.INVALID_BODY
    else:
        assert read_json(written.encode(), errors.REPEATED_PARAMETER) == value


LONG = b" " * SHORT
"""Makes a document so long that its parts are counted."""


def without_floats(value):
    if isinstance(value, dict):
        return {name: without_floats(one) for name, one in value.items()}
    if isinstance(value, list):
        return list(map(without_floats, value))
    return SOME_FLOAT if isinstance(value, float) else value


@given(JSON)
def test_long_json_is_read_like_short_json_but_for_floats(value):
    try:
        written = json.dumps(value, allow_nan=False).encode()
    except ValueError:
        return
    assert read_json(LONG + written, errors.REPEATED_PARAMETER) == without_floats(value)


HALFWAY = f"{5**1075}e-1075"
"""2^-1075, which is halfway between two floats, so that each of its 752 digits counts. Reading it takes 60 us."""


@pytest.mark.parametrize("number", [HALFWAY, "1e400", "-0.0", "1.5E+3"])
def test_float_of_long_data_is_sent_on_as_it_came(number):
    document = f'{" " * SHORT}{{"other":[{HALFWAY}],"data":[{number} , 1]}}'
    value = read_json(document.encode(), errors.REPEATED_PARAMETER)
    assert value["data"] == [SOME_FLOAT, 1]
    assert SentValue(value["data"], document, "data").text() == f"[{number},1]"


# Each makes a document of so many parts.
DOCUMENTS = {
    "commas": lambda parts: b"[" + b",".join([b"1"] * parts) + b"]",
    "strings": lambda parts: b"[" + b",".join([b'""'] * (parts // 2)) + b"]",
    "arrays": lambda parts: b"[" + b",".join([b"[]"] * (parts // 2)) + b"]",
    "objects": lambda parts: b"[" + b",".join([b"{}"] * (parts // 2)) + b"]",
    "names": lambda parts: b"{" + b",".join([b'"%d":1' % number for number in range(parts // 2)]) + b"}",
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_long_json_has_so_many_parts_and_no_more(document):
    most = document(MOST_PARTS)
    assert read_json(LONG + most, errors.REPEATED_PARAMETER) == json.loads(most)
    refused = refusal(LONG + document(MOST_PARTS + 2))
    assert refused.code is errors.INVALID_BODY
    assert str(MOST_PARTS) in refused.detail


def parts_of(value: object) -> int:
    """Count strings, arrays, objects and commas of a JSON value one by one."""
    match value:
        case str():
            return 1
        case list():
            return max(1, len(value)) + sum(map(parts_of, value))
        case dict():
            return max(1, len(value)) + sum(1 + parts_of(item) for item in value.values())
    return 0


TEXTS = st.text('[{,"\\a', max_size=4)


@given(
    st.recursive(
        st.none() | st.integers() | TEXTS,
        lambda values: st.lists(values, max_size=4) | st.dictionaries(TEXTS, values, max_size=4),
    )
)
def test_parts_of_long_json_are_counted_exactly(value):
    document = LONG + json.dumps(value).encode()
    parts = parts_of(value)
    assert read_json(document, errors.REPEATED_PARAMETER, parts) == value
    if parts:
        with pytest.raises(errors.Refused) as caught:
            read_json(document, errors.REPEATED_PARAMETER, parts - 1)
        assert f"more than {parts - 1} strings" in caught.value.detail


@pytest.mark.parametrize("text", ['[{,"\\', '\\"', '"', "\\", '\\\\"'])
def test_text_of_long_json_may_hold_anything(text):
    value = {"text": text * SHORT}
    assert read_json(json.dumps(value).encode(), errors.REPEATED_PARAMETER) == value


@pytest.mark.parametrize("before", [b"", LONG])
@pytest.mark.parametrize(
    ("document", "told"),
    [
        (b"[" * 3000 + b"]" * 3000, "nested too deeply"),
        (b"9" * 5000, "digits: send it as a string"),
        (b"[" + b"9" * 5000 + b",1.5]", "digits: send it as a string"),
        (b"[NaN]", "NaN is not valid JSON"),
        (b"[-Infinity]", "send null or a string"),
        (b"[1", "not valid JSON in UTF-8"),
        (b'"\xff"', "not valid JSON in UTF-8"),
    ],
)
def test_refusal_of_json_says_what_is_wrong_with_it(before, document, told):
    refused = refusal(before + document)
    assert refused.code is errors.INVALID_BODY
    assert told in refused.detail


def test_integer_of_long_json_has_so_many_digits_and_no_more():
    most = b"9" * MOST_DIGITS
    assert read_json(LONG + most, errors.REPEATED_PARAMETER) == int(most)
    assert "more than 1000 digits" in refusal(LONG + most + b"9").detail


def test_integer_of_short_json_has_4300_digits_at_most():
    most = b"9" * 4300
    assert read_json(most, errors.REPEATED_PARAMETER) == int(most)
    assert "more than 4300 digits" in refusal(most + b"9").detail
