"""The accounts campaign, in short: three nodes over a real Redis, and listeners of another account that notice nothing."""

import asyncio

from bench.campaigns.accounts.__main__ import Result, play, table
from bench.campaigns.accounts.life import STEPS, Times
from tests.conftest import PYTHONPATH, TWISTD

LOADED = 10.0
"""Seconds: a machine under load may need longer than a second, which is measured by the whole campaign."""


def test_lives_on_three_nodes_are_noticed_by_nobody_else(tmp_path):
    result = asyncio.run(play(2, 30, [*TWISTD], {"PYTHONPATH": PYTHONPATH}, tmp_path))
    assert result.violations(LOADED) == []
    assert [len(result.times.seconds[step]) for step in STEPS] == [2] * len(STEPS)
    assert table(result).count("\n") == len(STEPS) + 1


def test_violations_are_told():
    times = Times()
    times.seconds["added"] = [0.1, 1.5]
    assert Result(times, 1, ["error"], 3).violations() == [
        "a bystander noticed: error",
        "3 pushes to bystanders are missing or came twice",
        "added took 1.50 s on some node",
    ]
