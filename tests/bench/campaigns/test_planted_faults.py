"""The checker on servers that do break the promises: it must say so."""

import asyncio
import signal

import pytest

from bench.campaigns.faults.catalogue import SHORT_DURATIONS, Fault
from bench.campaigns.faults.cluster import Cluster
from bench.campaigns.faults.rounds import FaultResult, play_round, settings_for
from tests.conftest import PYTHONPATH, TWISTD


async def no_fault(cluster, _durations):
    await cluster.wait_for_pushes(50)


async def server_forgets(cluster, _durations):
    """Kill a server without Redis, and with it everything that it kept."""
    (node,) = cluster.nodes
    await node.end(signal.SIGKILL)
    await node.start()


def result_of(tmp_path, inflict, nodes, loses=False):
    async def run():
        settings = settings_for(
            "plain",
            TWISTD,
            {"PYTHONPATH": PYTHONPATH},
            redis=False,
            offsets=(None,) * nodes,
            pause=0.02,
            settle_time=6.0,
        )
        result = FaultResult("planted")
        async with Cluster(settings, tmp_path, "planted") as cluster:
            await play_round(cluster, Fault("planted", "plain", inflict, loses), SHORT_DURATIONS, result)
        result.violations += cluster.log_problems()
        return result

    return asyncio.run(run())


def test_one_server_without_a_fault_has_no_violation(tmp_path):
    result = result_of(tmp_path, no_fault, nodes=1)
    assert result.violations == []
    assert result.pushes > 90
    assert result.deliveries > 3 * result.pushes
    assert result.connections > 10


def test_two_servers_without_redis_lose_pushes(tmp_path):
    result = result_of(tmp_path, no_fault, nodes=2)
    assert result.losses > 50
    assert any("lost" in violation for violation in result.violations)


@pytest.mark.parametrize("loses", [False, True])
def test_gap_of_forgetful_server_is_violation_unless_allowed(tmp_path, loses):
    result = result_of(tmp_path, server_forgets, 1, loses)
    assert result.gaps >= 5
    assert bool(result.violations) is not loses, result.violations
