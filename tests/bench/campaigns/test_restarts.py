"""The campaign of rolling restarts, short: with few listeners, and without a bound on their return."""

import asyncio

from bench.campaigns.restarts.__main__ import rows, table
from bench.campaigns.restarts.rolling import Load, Rolling
from tests.conftest import PYTHONPATH, TWISTD

LOAD = Load(visitors=24, pushes=20, drain=1, grace=0.5, levelled=0.5)


def test_rolling_restart_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)

    async def run():
        async with Rolling("haproxy", LOAD, tmp_path, TWISTD) as rolling:
            return await rolling.run()

    outcome = asyncio.run(run())
    assert outcome.findings.violations() == []
    assert outcome.findings.received > 0
    assert outcome.experience.ends["reconnect"] >= LOAD.visitors
    assert len(outcome.experience.away) >= LOAD.visitors
    assert sum(outcome.spread) > 0
    found = table([rows("haproxy", outcome)])
    assert "| lost | 0 |" in found
    assert "| deliveries | 0 |" not in found
