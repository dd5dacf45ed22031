"""The races campaign: a page applies pushes as docs/page-load.md says, and faults that are planted in one are seen."""

import asyncio
from typing import Any

import pytest

from bench.campaigns.races.__main__ import play, table
from bench.campaigns.races.campaign import Result
from bench.campaigns.races.guestbook import Contents, Row
from bench.campaigns.races.page import END, Page
from bench.campaigns.races.ways import WAYS
from tests.conftest import PYTHONPATH, TWISTD

POSITION, CLOCK, EVENTS, TOO_LATE, ROW_IDS, NO_MARKS = WAYS
SHOWN = [Row(1, 2, "one", deleted=False), Row(2, 1, "two", deleted=False), Row(3, 4, "three", deleted=True)]


def page_with(way, *pushes, number=7):
    page = Page(way, "round1")
    page.show(Contents(SHOWN, number))
    for row, push_id in pushes:
        assert not page.receive(push(row, push_id))
    return page


def push(row, push_id=None) -> dict[str, Any]:
    return {"type": "push", "identifier": "round1", "push_id": push_id, "data": row, "position": 1}


@pytest.mark.parametrize(
    ("row", "count"),
    [
        (Row(1, 2, "one", deleted=False), "repeats"),
        (Row(1, 1, "older", deleted=False), "overtaken"),
        (Row(3, 3, "before its delete", deleted=False), "overtaken"),
        (Row(1, 3, "newer", deleted=False), "applied"),
        (Row(4, 1, "new", deleted=False), "applied"),
        (Row(1, 3, "one", deleted=True), "applied"),
    ],
)
def test_page_applies_only_what_is_newer(row, count):
    page = page_with(POSITION, (row, None))
    assert {name: getattr(page, name) for name in ("applied", "repeats", "overtaken") if getattr(page, name)} == {
        count: 1
    }
    texts = {1: "one", 2: "two"}
    if count == "applied":
        texts = {**texts, row.id: row.text}
        if row.deleted:
            del texts[row.id]
    assert page.visible() == texts


def test_page_with_a_number_compares_numbers_of_events():
    page = page_with(EVENTS, (Row(1, 4, "second", deleted=False), 9), (Row(1, 3, "first", deleted=False), 8))
    assert (page.applied, page.overtaken, page.visible()[1]) == (1, 1, "second")
    assert page.listen_frame()["groups"] == [{"identifiers": {"round1": 7}, "position": 1}]


def test_last_push_ends_the_page():
    assert page_with(POSITION).receive(push(SHOWN[0], END))


@pytest.mark.parametrize(
    ("there", "missed", "absent"),
    [
        (SHOWN, 0, 0),
        ([*SHOWN, Row(4, 1, "new", deleted=False)], 1, 1),
        ([Row(1, 3, "newer", deleted=False), *SHOWN[1:]], 1, 0),
        (SHOWN[:1], 1, 0),
    ],
    ids=["the same", "a row is absent", "a row is older", "a row is gone"],
)
def test_difference_from_the_database_is_seen(there, missed, absent):
    result = Result(POSITION)
    result.add(page_with(POSITION), Contents(there, 0))
    assert (result.missed, result.absent, result.wrong_pages) == (missed, absent, int(bool(missed)))
    assert any("rows missed" in violation for violation in result.violations()) is bool(missed)


@pytest.mark.parametrize(
    ("way", "figures", "violation"),
    [
        (POSITION, {"gaps": 1}, "1 gaps"),
        (EVENTS, {"repeats": 1}, "1 repeats"),
        (ROW_IDS, {}, "nothing was missed"),
        (POSITION, {"late": 0}, "out of order"),
    ],
)
def test_each_broken_promise_is_a_violation(way, figures, violation):
    fine = {"late": 1, "overtaken": 1, "closed": 1, "missed": 0}
    (found,) = Result(way, **{**fine, **figures}).violations()
    assert violation in found


def test_advised_ways_miss_nothing_and_ids_of_rows_do(tmp_path):
    ways = [POSITION, EVENTS, TOO_LATE, ROW_IDS]
    results = asyncio.run(play(ways, 100, 1, TWISTD, {"PYTHONPATH": PYTHONPATH}, tmp_path))
    position, events, too_late, row_ids = results
    assert (position.missed, position.gaps, events.missed, events.repeats) == (0, 0, 0, 0)
    assert position.differences == events.differences == []
    assert too_late.missed > 0
    assert row_ids.missed > 0
    assert all(result.races == 100 and result.closed and result.applied for result in results)
    assert table(results).count("\n") == 5
