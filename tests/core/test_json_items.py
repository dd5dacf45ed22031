"""A long JSON array that is read item by item gives the items and the refusals of an array that is read at once."""

import gc
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core import json_items
from cometify.core.errors import INVALID_BODY, REPEATED_PARAMETER, TEXT_TOO_LONG, Refused
from cometify.core.json_items import MOST_ITEM, PIECE, cut, items_in_steps
from cometify.core.strict_json import MOST_DIGITS, MOST_PARTS, SHORT, SentValue, read_json, texts_of_items
from tests.samples import JSON

MOST = 200_000
LONG = b" " * (SHORT + 1)
"""Spaces behind a document, because the numbers of a short one are read in another way."""


def in_steps(body, most_parts=MOST):
    """The items that steps read, or the refusal. The times of the steps, in seconds of CPU time."""
    steps, times = items_in_steps(cut(body), REPEATED_PARAMETER, most_parts, "data"), []
    while True:
        began = time.thread_time()
        try:
            next(steps)
        except StopIteration as stop:
            items = stop.value
            break
        except Refused as refused:
            return (refused.code.name, refused.detail), times
        finally:
            times.append(time.thread_time() - began)
    return [shown(item) for item in items], times


def at_once(body, most_parts=MOST):
    """The items that one step reads, or the refusal."""
    try:
        items = read_json(body, REPEATED_PARAMETER, most_parts)
        if not isinstance(items, list):
            return (INVALID_BODY.name, "The body must be a JSON array of objects.")
        for item, text in zip(items, texts_of_items(body.decode()) if items else (), strict=True):
            if isinstance(item, dict) and "data" in item:
                item["data"] = SentValue(item["data"], text, "data")
    except Refused as refused:
        return refused.code.name, refused.detail
    return [shown(item) for item in items]


def shown(item):
    """An item that can be compared. NaN and a lone surrogate are equal to themselves then."""
    if isinstance(item, dict) and isinstance(item.get("data"), SentValue):
        return repr({**item, "data": (item["data"].value, item["data"].text())})
    return repr(item)


PUSHES = st.lists(st.dictionaries(st.sampled_from(["text", "data", "x\\", '"']), JSON, max_size=3) | JSON, max_size=6)
MARKS = [*(b"%c" % mark for mark in b'[]{}, 1"\\'), b'\\"', b"NaN", b"\xff", b"\xc3", b"\\ud800", b'{"a":1,"a":2}']
EDITS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 2), st.sampled_from(MARKS)), max_size=2)


@pytest.mark.parametrize("piece", [8, 13, 64, 1024])
@given(PUSHES, st.booleans(), st.sampled_from([None, 1]), EDITS, st.sampled_from([MOST, 20, 5]))
def test_steps_read_what_one_step_reads(piece, pushes, ascii_only, indent, edits, most_parts):
    text = json.dumps(pushes, ensure_ascii=ascii_only, indent=indent)
    body = text.encode("utf-8", "surrogatepass")
    for at, dropped, put in edits:
        body = body[:at] + put + body[at + dropped :]
    body += LONG
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_items, "PIECE", piece)
        read, _times = in_steps(body, most_parts)
    expected = at_once(body, most_parts)
    if body.lstrip(b" \t\n\r").startswith(b"["):
        assert read == expected
    else:
        assert read[0] == INVALID_BODY.name, "a document that does not begin like an array is refused unread"


def pushes_of(text, count=100):
    return json.dumps([{"identifier": "a", "text": text, "secret": 0}] * count, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "body",
    [
        pushes_of("y" * 60_000),
        pushes_of("\n" * 40_000, 20),
        pushes_of("\x01" * 60_000, 4),
        pushes_of("ü€😀" * 6_000),
        pushes_of('"\\' * 30_000, 20),
        pushes_of("\\" * 65_536, 20),
        pushes_of("[{," * 20_000, 10),
        b"[" + LONG * 20 + b"]" + LONG * 20,
        b"[" + b"1," * 30_000 + b"12]",
        b"[" + b"[1.5,1e9]," * 9_000 + b"[1.50]]",
        json.dumps([{"data": {"a": [1.50, "\\", 2**70]}, "text": "x" * 9_000}] * 20, indent=3).encode(),
    ],
    ids=lambda body: ascii(body[:40]),
)
def test_long_arrays_are_read_as_at_once(body):
    read, _times = in_steps(body)
    assert read == at_once(body)
    assert isinstance(read, list)


FAR = pushes_of("y" * 60_000, 10)[:-1]
"""An array without its end."""


@pytest.mark.parametrize(
    "body",
    [
        FAR,
        FAR + b",",
        FAR + b",]",
        FAR + b"}",
        FAR + b"] 1",
        FAR + b',{"a":1,"a":2}]',
        FAR + b',{"a":1,"a":2}, tru',
        FAR + b",NaN]",
        FAR + b",[" + b"9" * (MOST_DIGITS + 1) + b"]]",
        FAR + b"," + b"9" * (MOST_DIGITS + 1),
        FAR + b"," + b"[" * 20_000,
        FAR + b',{"a":1,"a":2},"\xff"]',
        FAR + b"," + b'"\xc3',
        FAR + b"," + b"[]," * MOST + b'"\xff"]',
        FAR + b',"' + b"[" * 100_000 + b"]",
        FAR.replace(b"secret", b"sec\nret"),
        FAR.replace(b"y" * 9, b"y\\uD83y"),
        b"[" + FAR[:200_000],
        b"\xef\xbb\xbf" + FAR + b"]",
        LONG,
        b"tru" + LONG,
        b'{"a":1}' + LONG,
        b"?" + LONG,
    ],
    ids=lambda body: ascii(body[-30:]),
)
def test_faults_are_told_as_at_once(body):
    read, _times = in_steps(body)
    assert isinstance(read, tuple)
    code, detail = at_once(body)
    if body[:1] == b"t":
        detail = "The body must be a JSON array of objects."  # it is refused unread
    assert read == (code, detail)


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (b'{"text":"%b"}' % (b"y" * (MOST_ITEM + PIECE)), TEXT_TOO_LONG),
        (b'{"text":"%b"}' % (b"\\n" * MOST_ITEM), TEXT_TOO_LONG),
        (b'{"text":"x",%b"data":1}' % (b" " * (MOST_ITEM + 2 * PIECE)), TEXT_TOO_LONG),
        (b"[%b1]" % (b"[]," * MOST_PARTS), INVALID_BODY),
        (b'[%b"%b",%b1]' % (b"[]," * 100, b"y" * 3 * PIECE, b"[]," * MOST_PARTS), INVALID_BODY),
    ],
    ids=["text", "escapes", "spaces", "parts", "parts behind a text"],
)
def test_item_that_no_push_needs_is_refused_unread(item, code):
    body = b"[" + b"{}," * 6 + item + b"," + FAR[1:] + b"]"
    refused, _times = in_steps(body)
    assert refused[0] == code.name
    assert refused[1].startswith("Push 7 of the batch, nothing was pushed: it has more than ")


def test_item_may_have_all_that_a_push_can_have():
    longest = [
        {"text": "\x01" * 65_536},
        {"data": [[]] * 21_000, "text": "x" * 70_000},
        {"data": 1},
    ]
    body = json.dumps(longest, indent=1).encode()
    read, _times = in_steps(body)
    assert read == at_once(body)


@pytest.mark.parametrize(
    "body",
    [
        pushes_of("y" * 60_000),
        pushes_of("\n" * 40_000),
        b"[" + b" " * 8_000_000 + b"]",
        b'["' + b"y" * 8_000_000 + b'"]',
        b"[[" + b"{}," * 99_000 + b"1]]",
        b"[" + b"1," * 190_000 + b"1]",
        b"\xff" * 8_000_000,
    ],
    ids=lambda body: ascii(body[:30]),
)
def test_no_step_takes_much_longer_than_a_single_push(body):
    # Another process can only make a step longer. So the least of three measurements is nearest to its own time.
    gc.disable()  # a collection would look at all objects of the tests
    longest = max(map(min, zip(*[in_steps(body)[1] for _ in range(3)], strict=True)))
    single = min(seconds_of_single_push() for _ in range(3))
    gc.enable()
    assert longest < 4 * single


def seconds_of_single_push():
    """The CPU time in which the body of a single push is read, if it has as many objects as `data` can have."""
    began = time.thread_time()
    read_json(b'{"data":[' + b"{}," * 21_800 + b"1]}", REPEATED_PARAMETER)
    return time.thread_time() - began
