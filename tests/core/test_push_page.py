"""Pages of kept pushes: their bounds, and when a gap is told."""

import json

import pytest

from cometify.core.position import FLOOR_RETENTION, RETENTION
from cometify.core.push import Push
from cometify.core.push_page import MOST_BYTES, AskedPushes, PushPage, has_gap, page_of

NOW = 10 * FLOOR_RETENTION


def push(position, secret=False, size=0):
    frame = b'{"type":"push","identifier":"chat","push_id":null,"text":"%b","position":%d}' % (b"x" * size, position)
    return Push("chat", None, secret, position, frame)


def positions(page):
    return [json.loads(frame)["position"] for frame in page.frames]


def test_frame_of_a_list_tells_whether_it_is_secret():
    frames = page_of([push(1), push(2, secret=True)], 9, gap=False).frames
    assert [json.loads(frame)["secret"] for frame in frames] == [0, 1]
    assert {frame[: frame.rindex(b",")] + b"}" for frame in frames} == {push(1).frame, push(2).frame}


@pytest.mark.parametrize(("limit", "more", "following"), [(3, False, None), (3, True, 3), (2, False, 2), (1, True, 1)])
def test_page_tells_where_the_next_one_begins(limit, more, following):
    page = page_of([push(1), push(2), push(3)], limit, gap=True, more=more)
    assert (positions(page), page.gap, page.next) == ([1, 2, 3][:limit], True, following)


def test_page_without_pushes_is_the_last():
    assert page_of([], 5, gap=False) == PushPage((), False, None)


def test_page_is_bounded_in_bytes_and_never_empty():
    size = MOST_BYTES // 4
    page = page_of([push(at, size=size) for at in range(1, 9)], 100, gap=False)
    assert (positions(page), page.next) == ([1, 2, 3], 3)
    page = page_of([push(at, size=2 * MOST_BYTES) for at in range(1, 3)], 100, gap=False)
    assert (positions(page), page.next) == ([1], 1)


@pytest.mark.parametrize(("after", "since"), [(None, NOW - RETENTION), (0, 0), (7, 7)])
def test_page_without_after_begins_ten_minutes_ago(after, since):
    assert AskedPushes(after, 5).since(NOW) == since


def test_page_of_a_young_clock_begins_at_zero():
    assert AskedPushes(None, 5).since(5) == 0


@pytest.mark.parametrize(
    ("since", "floor", "gap"),
    [
        (NOW - 5, NOW - 5, False),
        (NOW - 6, NOW - 5, True),
        (NOW, 0, False),
        (NOW + 1, 0, True),
        (NOW - FLOOR_RETENTION, 0, False),
        (NOW - FLOOR_RETENTION - 1, 0, True),
    ],
)
def test_gap_is_told_if_a_push_may_be_lost(since, floor, gap):
    assert has_gap(since, NOW, floor) is gap
