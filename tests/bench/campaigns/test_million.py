"""The campaign of idle listeners, in short: a few hundred of them, on one process without Redis."""

import asyncio

from bench.campaigns.million import crowd
from bench.campaigns.million.campaign import Campaign, Measured, Plan
from bench.campaigns.million.crowd import Figures
from bench.campaigns.million.report import in_words, row
from tests.conftest import FRUGAL, PLAIN_TWISTD, PYTHONPATH, UNTRACED


def test_idle_listeners_get_all_and_are_back_after_kill_9(tmp_path):
    crowd.build()
    plan = Plan(300, 1, rest=1.5, pushes=2, within=60, heartbeat=1, longest=1)
    environment = {"PYTHONPATH": PYTHONPATH, **FRUGAL, **UNTRACED}
    measured = asyncio.run(Campaign(plan, tmp_path, [*PLAIN_TWISTD], environment).run())
    assert measured.violations == []
    assert measured.beats > 100
    assert 300 < measured.most < 400
    assert 0 < measured.p50 <= measured.p99
    assert measured.fan_out > 0
    assert 0 < measured.back_90 <= measured.back_in
    assert measured.base > 10e6
    assert measured.server_side >= measured.base + measured.server
    assert "300 listeners, 1 workers" in in_words(measured)
    assert row(measured.as_json()).startswith("| 300, 1 | 0.")


def test_percentiles_are_those_of_the_deliveries_since_then():
    then, now = [0] * crowd.CLASSES, [0] * crowd.CLASSES
    then[700] = now[700] = 50
    now[64], now[320] = 99, 1  # 64 ns, and 64 x 2^8 ns
    before, after = Figures({}, tuple(then)), Figures({}, tuple(now))
    assert after.percentile(50, before) == 64 / 1e6
    assert after.percentile(100, before) == 64 * 256 / 1e6
    assert before.percentile(99, before) == 0


def test_run_says_when_a_listener_was_lost():
    measured = Measured(1, 1, 25)
    campaign_figures = {"lost": 1, "wrong": 0, "missed": 2}
    before = Figures(dict.fromkeys(campaign_figures, 0), ())
    assert measured.lost_since(before, Figures(campaign_figures, ()), "at rest") == [
        "1 lost at rest",
        "2 missed at rest",
    ]
