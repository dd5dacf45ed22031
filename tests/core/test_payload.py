"""`data`: any JSON value, which is sent on as it came or is refused. `event`: a name."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cometify.core import errors
from cometify.core.identifier import EXTENDED
from cometify.core.payload import MAX_DEPTH, read_data, read_event
from cometify.core.push import MAX_TEXT
from cometify.core.strict_json import SentValue, read_json, texts_of_items
from tests.samples import refusal

STRINGS = st.text(st.characters(exclude_categories=["Cs"])) | st.text('\0 \n\t"\\/{}[]:,\u2028\u2029é😀')
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | STRINGS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=12,
)
UNLIKE_PYTHON = [
    "9007199254740993",
    "1.0",
    "1.00",
    "-0",
    "-0.0",
    "1e400",
    "1E+2",
    "0.1e-999",
    '"\\u00e9\\/"',
    "9" * 4000,
]
SPACED = ' { "b" : [ 1 ,\t2.0 ] ,\r\n "a b" : "x  \\" : , y" , "": { } , "\\\\" : [ ] } '
COMPACT = '{"b":[1,2.0],"a b":"x  \\" : , y","":{},"\\\\":[]}'


def data_of(text):
    """Send `text` as data, behind and before other members."""
    document = f'{{ "secret" : 0 , "x": ["data", {{"data":1}}], "d\\u0061ta" :{text}, "z":[]}}'
    value = read_json(document.encode(), errors.REPEATED_PARAMETER)
    return read_data(SentValue(value["data"], document, "data"))


@given(VALUES, st.sampled_from([None, 1, "\t"]), st.booleans())
@example({"\0": "\0"}, None, False)
def test_any_value_is_sent_on_as_it_came(value, indent, is_ascii):
    compact = json.dumps(value, ensure_ascii=is_ascii, separators=(",", ":"))
    assert data_of(compact) == compact
    assert data_of(json.dumps(value, ensure_ascii=is_ascii, indent=indent)) == compact


@pytest.mark.parametrize("text", UNLIKE_PYTHON)
def test_numbers_and_escapes_keep_their_spelling(text):
    assert data_of(text) == text
    assert data_of(f"[{text}, {text}]") == f"[{text},{text}]"


def test_order_of_names_is_kept_and_spaces_go():
    assert data_of(SPACED) == COMPACT


@pytest.mark.parametrize(
    "text", ["NaN", "-Infinity", '{"a":1,"\\u0061":2}', "9" * 5000, "[" * 99999, "01", '"\0"', "'a'"]
)
def test_what_is_no_strict_json_is_refused(text):
    refused = refusal(data_of, text)
    assert refused.code in (errors.INVALID_BODY, errors.REPEATED_PARAMETER)


def test_size_is_counted_as_it_is_sent_on():
    longest = '"' + "é" * (MAX_TEXT // 2 - 1) + '"'
    assert data_of(longest) == longest
    assert data_of(f"[{' ' * MAX_TEXT}]") == "[]"
    refused = refusal(data_of, f'"{longest[1:-1]}x"')
    assert refused.code is errors.TEXT_TOO_LONG
    assert (
        refused.detail
        == f"data is {MAX_TEXT + 1} bytes of JSON, the most is {MAX_TEXT}: push a reference to it instead."
    )


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_sixty_levels_are_taken_and_one_more_is_not(begin, end):
    deep = begin * MAX_DEPTH + "1" + end * MAX_DEPTH
    assert data_of(deep) == deep
    refused = refusal(data_of, begin + deep + end)
    assert refused.code is errors.INVALID_PARAMETER
    assert str(MAX_DEPTH) in refused.detail


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\uDFFFx"', '[{"\\ud83d":1}]', '{"a":["\\ude00\\ud83d"]}'])
def test_lone_surrogate_is_refused(text):
    refused = refusal(data_of, text)
    assert refused.code is errors.INVALID_PARAMETER
    assert "surrogate" in refused.detail


@pytest.mark.parametrize("text", ['"\\ud83d\\ude00"', '"\\\\ud800"', '["é", "\\ud83d\\ude00"]'])
def test_pairs_and_escaped_backslashes_are_no_surrogates(text):
    assert json.loads(data_of(text)) == json.loads(text)


@given(st.lists(VALUES, max_size=4), st.sampled_from([None, 1]))
def test_items_of_an_array_keep_their_texts(values, indent):
    document = json.dumps(values, indent=indent)
    assert [json.loads(text) for text in texts_of_items(document)] == values if values else document.strip() == "[]"


def deepest():
    """The deepest array that this stack can read."""
    depth = 1
    try:
        while True:
            json.loads("[" * depth + "]" * depth)
            depth += 1
    except RecursionError:
        return depth - 1


def deeper(levels, function):
    return deeper(levels - 1, function) if levels else function()


def test_body_that_only_a_lower_stack_can_read_is_refused():
    deep = "[" * deepest() + "]" * deepest()
    member = SentValue(1, f'{{"x":{deep},"data":1}}', "data")
    for read in (member.text, lambda: texts_of_items(f"[{deep}]")):
        refused = refusal(deeper, 9, read)
        assert refused.code is errors.INVALID_BODY
        assert "deep" in refused.detail


@pytest.mark.parametrize("text", ['"\\\\"', '" \\" , \\\\\\" "', '["\\\\" , " \\\\" ]', '{" \\\\\\" : " : "\\\\ "}'])
def test_spaces_behind_escaped_quotes_are_kept_in_strings(text):
    assert data_of(text) == json.dumps(json.loads(text), separators=(",", ":"))


@pytest.mark.parametrize("string", ['\\"' * 32_000, "\\\\" * 32_000, '\\\\\\"' * 16_000])
def test_string_of_escapes_takes_no_longer_than_parsing_it(string):
    text = f'"{string}"'
    sent = SentValue(json.loads(text), f'{{"data":{text}}}', "data")

    def best(function):
        times = []
        for _ in range(9):
            began = time.thread_time()
            function()
            times.append(time.thread_time() - began)
        return min(times)

    assert sent.text() == text
    assert best(sent.text) < 10 * best(lambda: json.loads(text))


@pytest.mark.parametrize("event", ["a", "Created", "row_7", "x" * 60])
def test_event_keeps_its_spelling(event):
    assert read_event(event) == event


@pytest.mark.parametrize("event", ["", "7", "_a", "a b", "a\n", "a-b", "a.b", "é", "x" * 61, 7, True, ["a"], {}])
def test_event_that_is_no_name_is_refused(event):
    refused = refusal(read_event, event)
    assert refused.code is errors.INVALID_PARAMETER
    assert refused.detail.startswith("event must be a name: write 1 to 60 of ")


@pytest.mark.parametrize("event", ["order.created", "a-b", "x" * 100])
def test_event_is_spelled_as_identifiers_of_its_account(event):
    assert read_event(event, EXTENDED) == event
    assert refusal(read_event, event).code is errors.INVALID_PARAMETER
    assert "1 to 100 of" in refusal(read_event, "a b", EXTENDED).detail
