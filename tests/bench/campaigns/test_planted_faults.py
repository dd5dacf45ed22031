"""The campaign on servers that do break the promises, and with faults that take no effect: it must say so."""

import asyncio
import signal

import pytest

from bench.campaigns.faults.catalogue import SHORT_DURATIONS, Fault, clients_killed, clock_jumps, network_cut
from bench.campaigns.faults.cluster import Cluster
from bench.campaigns.faults.network_namespace import NetworkNamespace
from bench.campaigns.faults.rounds import FaultResult, play_round, settings_for
from bench.campaigns.faults.wall_clock import WallClock
from tests.conftest import PYTHONPATH, TWISTD


async def no_fault(cluster, _durations):
    await cluster.wait_for_pushes(50)


async def server_forgets(cluster, _durations):
    """Kill a server without Redis, and with it everything that it kept."""
    (node,) = cluster.nodes
    await node.end(signal.SIGKILL)
    await node.start()


def result_of(tmp_path, inflict, nodes, loses=False, **more):
    async def run():
        settings = settings_for(
            "plain",
            TWISTD,
            {"PYTHONPATH": PYTHONPATH},
            **{"redis": False, "offsets": (None,) * nodes, "pause": 0.02, "settle_time": 6.0, **more},
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


async def clocks_of_no_node(cluster, durations):
    cluster.clocks = [WallClock(cluster.nodes[0].folder / f"nobodys{number}") for number in range(2)]
    await clock_jumps(cluster, durations)


async def network_of_no_node(cluster, durations):
    cluster.network = NetworkNamespace()
    await cluster.network.make()
    try:
        await network_cut(cluster, durations)
    finally:
        await cluster.network.remove()
        cluster.network = None


@pytest.mark.parametrize(
    ("inflict", "violation"),
    [
        (clients_killed("replica"), "only 0 connections of type replica"),
        (clocks_of_no_node, "has a wall clock that is +3600 s ahead"),
        (network_of_no_node, "sees that Redis is away"),
    ],
)
def test_fault_without_effect_is_a_violation(tmp_path, inflict, violation):
    result = result_of(tmp_path, inflict, nodes=2, redis=True)
    assert [violation in one for one in result.violations] == [True], result.violations
