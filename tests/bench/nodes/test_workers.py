"""A short measurement of workers."""

import asyncio
import os
from pathlib import Path

from bench.nodes.workers import workers, workers_on_one_core
from bench.rig import load_generator
from tests.conftest import PLAIN_TWISTD, PYTHONPATH


def test_workers_are_measured_and_lose_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    load_generator.build()
    figures = asyncio.run(workers(Path(PLAIN_TWISTD[0]).parent, tmp_path / "two", 2, 40, 1))
    assert figures["lost"] == 0
    assert figures["joins/s"] > 0
    assert figures["pushes/s"] > 0
    assert all(figures[name] > 0 for name in figures if "CPU" in name and "Redis" not in name)


def test_workers_on_one_core_are_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    load_generator.build()
    cores = os.sched_getaffinity(0)
    figures = asyncio.run(workers_on_one_core(Path(PLAIN_TWISTD[0]).parent, tmp_path / "two", 2, 40, 1))
    assert os.sched_getaffinity(0) == cores
    assert figures["lost"] == 0
    assert figures["pushes/s"] > 0
    assert figures["pushes over 32 connections: of the busiest worker, % of the mean"] < 130
