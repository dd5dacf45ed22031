"""The outbox campaign: a short run breaks no promise, and a broken promise is seen."""

import asyncio
import sys
from pathlib import Path

import pytest

from bench.campaigns.outbox.__main__ import parser, play, table
from bench.campaigns.outbox.campaign import Result
from bench.campaigns.outbox.ear import Ear
from tests.conftest import PYTHONPATH

CHANGES = {1: (0, "a"), 2: (1, "a"), 4: (0, "a"), 5: (0, "b")}


def compared(*heard, gap=False):
    ear = Ear.on("ear", ["a", "b"])
    for position, (row, identifier) in enumerate(heard, 1):
        frame = {"type": "push", "identifier": identifier, "push_id": row, "position": position, "text": "0 0.0"}
        ear.receive(frame)
        ear.receive(frame)  # after a reconnect a listener may get a push again
    if gap:
        ear.receive({"type": "gap", "identifiers": ["a"]})
    result = Result()
    result.compare(CHANGES, ear)
    return result


ALL = [(2, "a"), (1, "a"), (5, "b"), (4, "a")]


def test_rows_that_came_once_break_no_promise():
    assert compared(*ALL).violations() == []


@pytest.mark.parametrize(
    ("heard", "violation"),
    [
        (ALL[1:], "1 lost"),
        ([*ALL, ALL[0]], "1 doubled"),
        ([*ALL, (3, "a")], "1 of a rolled-back transaction"),
        ([ALL[3], *ALL[:3]], "1 overtaken"),
    ],
)
def test_broken_promise_is_seen(heard, violation):
    assert compared(*heard).violations() == [violation]


def test_gap_is_seen():
    assert compared(*ALL, gap=True).violations() == ["1 gaps"]


def test_kills_lose_and_double_nothing():
    short = ["--rows", "160", "--kills", "12", "--pause", "0.4", "--calm", "40", "--backlog", "80"]
    options = parser().parse_args(short)
    result = asyncio.run(play(options, Path(sys.executable), {"PYTHONPATH": PYTHONPATH}))
    assert result.violations() == [], table(result)
    assert result.rows == 280
    assert sum(result.kills.values()) > 5
