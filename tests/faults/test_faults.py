"""Whatever dies, nothing acknowledged is lost, doubled or out of order, on any transport and node, and no gap is told where
nothing can be lost. One round of each fault, in worlds that run at once; `make soak` has twenty of each, and longer ones.
"""

import asyncio

import pytest

from bench.campaigns.faults.catalogue import FAULTS, SHORT
from bench.campaigns.faults.rounds import run_all
from tests.conftest import PYTHONPATH, TWISTD


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    rows = asyncio.run(run_all(TWISTD, {"PYTHONPATH": PYTHONPATH}, folder, 1, SHORT, lambda row: None))
    return {row.fault: row for row in rows}


def test_every_world_could_be_begun(rows):
    assert set(rows) == {fault.name for fault in FAULTS}, [row.violations for row in rows.values()]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_nothing_is_lost_doubled_or_out_of_order(rows, fault):
    row = rows[fault.name]
    assert row.violations == []
    assert row.rounds == 1
    assert row.pushes > 40, "too little was pushed to tell anything"
    assert row.deliveries > 2 * row.pushes, "too little was heard to tell anything"
    assert (row.gaps > 0) is fault.loses
