"""A short measurement of pushes that many connections send to nodes that share a Redis."""

import asyncio
from pathlib import Path

from bench.nodes.workloads import pushing
from bench.rig import load_generator
from tests.conftest import PLAIN_TWISTD, PYTHONPATH


def test_pushes_in_flight_are_measured_beside_sets_of_the_same_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    load_generator.build()
    figures = asyncio.run(pushing(Path(PLAIN_TWISTD[0]).parent, tmp_path / "two", 2, 1, 32))
    assert figures["refused"] == 0
    assert figures["pushes/s"] > 0
    # A push is a script with several commands. If it were as cheap as half a SET, something else would have been measured.
    assert 0.5 < figures["CPU of Redis for a push, in pipelined SETs"] < 200
