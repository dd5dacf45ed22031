"""One order of pushes over all nodes."""

import asyncio

from bench.campaigns.faults.cluster import NAMES, Cluster, ClusterSettings
from bench.rig.history import Received
from tests.conftest import PYTHONPATH, TWISTD

PUSHES = 600


def test_listeners_on_two_nodes_see_pushes_in_one_order(tmp_path):
    transports = ("websocket", "stream", "events", "poll")
    settings = ClusterSettings(
        TWISTD,
        {"PYTHONPATH": PYTHONPATH},
        publishers=4,
        pause=0.0,
        subscriptions=[(transport, ((",".join(NAMES), True),)) for transport in transports],
    )

    async def run():
        async with Cluster(settings, tmp_path, "order") as cluster:
            cluster.start_publishing()
            await cluster.wait_for_pushes(PUSHES)
            await cluster.stop_publishing()
            await cluster.wait_for_delivery(20)
            acknowledged = sorted(cluster.ledger.acknowledged, key=lambda push: push.position)
            return [push.text for push in acknowledged], [_texts(one.client.history) for one in cluster.listeners]

    order, received = asyncio.run(run())
    assert len(order) >= PUSHES
    # Texts are numbered as they are sent. Publishers that had taken turns would have kept that order.
    assert order != sorted(order, key=lambda text: int(text[1:])), "the publishers did not push at once"
    assert received == [order] * len(transports)


def _texts(history):
    return [entry.text for entry in history.entries if isinstance(entry, Received)]
