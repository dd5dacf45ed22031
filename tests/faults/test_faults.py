"""One round of each fault, on clusters that run at once. `make soak` plays twenty rounds of each, with longer faults.

Nothing acknowledged may be lost, doubled or out of order, on any transport and node. No gap may be told where nothing can
be lost.
"""

import asyncio
from dataclasses import replace

import pytest

from bench.campaigns.faults.catalogue import SHORT, SHORT_DURATIONS
from bench.campaigns.faults.rounds import run_all
from tests.conftest import PYTHONPATH, TWISTD

NAMES = [fault.name for fault in SHORT]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    environment = {"PYTHONPATH": PYTHONPATH}
    durations = replace(SHORT_DURATIONS, answer=8.0)  # the other tests run beside these clusters
    results = asyncio.run(run_all(TWISTD, environment, folder, 1, durations, lambda result: None, NAMES))
    return {result.fault: result for result in results}


def test_every_cluster_can_be_started(results):
    assert set(results) == set(NAMES), [result.violations for result in results.values()]


@pytest.mark.parametrize("fault", SHORT, ids=lambda fault: fault.name)
def test_fault_loses_doubles_and_disorders_nothing(results, fault):
    result = results[fault.name]
    assert result.violations == []
    assert result.rounds == 1
    assert result.pushes > 40, "too few pushes to tell anything"
    assert result.deliveries > 2 * result.pushes, "too few deliveries to tell anything"
    assert (result.gaps > 0) is fault.loses
