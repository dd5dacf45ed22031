"""One order over all nodes."""

import asyncio

from bench.campaigns.faults.checker import Got
from bench.campaigns.faults.cluster import NAMES, Setting, World
from tests.conftest import PYTHONPATH, TWISTD

PUSHES = 600


def test_four_listeners_at_two_nodes_see_the_pushes_of_four_publishers_in_the_same_order(tmp_path):
    asked = [(way, ((",".join(NAMES), True),)) for way in ("websocket", "stream", "events", "poll")]
    setting = Setting(TWISTD, {"PYTHONPATH": PYTHONPATH}, publishers=4, pause=0.0, asked=asked)

    async def run():
        async with World(setting, tmp_path, "order") as world:
            world.publish()
            await world.pushed(PUSHES)
            await world.publishers_end()
            await world.arrived(20)
            acknowledged = sorted(world.ledger.acknowledged, key=lambda push: push.position)
            heard = [[one for one in each.page.diary.entries if isinstance(one, Got)] for each in world.listeners]
            return [push.text for push in acknowledged], [[push.text for push in each] for each in heard]

    order, heard = asyncio.run(run())
    assert len(order) >= PUSHES
    assert order != sorted(order, key=lambda text: int(text[1:])), "they did not push at once"
    assert heard == [order] * 4
