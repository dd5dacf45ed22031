"""The whole checker on servers that do break the promises: it says so."""

import asyncio
import signal

import pytest

from bench.campaigns.faults.catalogue import SHORT, Fault
from bench.campaigns.faults.cluster import World
from bench.campaigns.faults.rounds import Row, play, setting_of
from tests.conftest import PYTHONPATH, TWISTD


async def calm(world, _lengths):
    await world.pushed(50)


async def forgetful(world, _lengths):
    """A server without Redis dies, and what it kept with it."""
    (node,) = world.nodes
    await node.end(signal.SIGKILL)
    await node.start()


def played(tmp_path, inflict, nodes, loses=False):
    async def run():
        setting = setting_of(
            "plain", TWISTD, {"PYTHONPATH": PYTHONPATH}, redis=False, offsets=(None,) * nodes, pause=0.02, settles=6.0
        )
        row = Row("planted")
        async with World(setting, tmp_path, "planted") as world:
            await play(world, Fault("planted", "plain", inflict, loses), SHORT, row)
        row.violations += world.complaints()
        return row

    return asyncio.run(run())


def test_one_server_that_nothing_happens_to_is_right(tmp_path):
    row = played(tmp_path, calm, nodes=1)
    assert row.violations == []
    assert row.pushes > 90
    assert row.deliveries > 3 * row.pushes
    assert row.connections > 10


def test_two_servers_that_know_nothing_of_each_other_lose_pushes(tmp_path):
    row = played(tmp_path, calm, nodes=2)
    assert row.losses > 50
    assert any("lost" in violation for violation in row.violations)


@pytest.mark.parametrize("loses", [False, True])
def test_a_server_that_forgets_tells_a_gap_which_is_a_violation_where_none_may_be_told(tmp_path, loses):
    row = played(tmp_path, forgetful, 1, loses)
    assert row.gaps >= 5
    assert bool(row.violations) is not loses, row.violations
