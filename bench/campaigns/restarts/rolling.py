"""One rolling restart behind one balancer, and what its visitors and publishers saw of it."""

import asyncio
import random
import re
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bench.campaigns.faults.checker import Findings, check
from bench.campaigns.faults.publisher import Ledger, Publisher
from bench.campaigns.restarts.visitor import Experience, Visitor
from bench.rig import wire
from bench.rig.balancers import BalancerFile, Upstream
from bench.rig.node import Node
from bench.rig.ports import free_port
from bench.rig.processes import Process, wait_until
from bench.rig.redis import Redis

NODES = 3
PUBLISHERS = 8
IDENTIFIERS = 160
"""Identifiers that the visitors share. With 2,000 visitors a push reaches a dozen of them."""
JOINS_EACH_SECOND = 400


@dataclass(frozen=True)
class Load:
    """Visitors, and the pushes of a second. `drain`: the setting of the nodes.

    `grace`: seconds after `drain` by which nearly all visitors of a node must be back, and seconds between a node that is
    ready and the next one that is stopped. `levelled`: seconds after which the nodes have levelled their listeners.
    """

    visitors: int
    pushes: float
    drain: int = 10
    grace: float = 3.0
    levelled: float = 12.0


@dataclass
class Outcome:
    """`present`: for each node, the visitors that were there `grace` seconds after its drain. `fewest`: at any moment.

    `spread`: the listeners of each node at the end. `took`: seconds from SIGTERM to the end of a process.
    """

    load: Load
    findings: Findings
    experience: Experience
    ledger: Ledger
    present: list[int] = field(default_factory=list)
    fewest: int = 0
    spread: list[int] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """Pushes and attempts to listen that failed, and had to be made again."""
        pushes = sum(count for answer, count in self.ledger.answers.items() if answer != "200")
        ends = self.experience.ends
        return pushes + sum(ends.values()) - ends["reconnect"] - ends["ended"]

    def faults(self) -> list[str]:
        """Everything that must not be."""
        found = self.findings.violations()
        least = 0.95 * self.load.visitors
        found += [f"only {count} of {self.load.visitors} were back" for count in self.present if count < least]
        return found


class _TimedLedger(Ledger):
    """Notes when each text was first sent."""

    def __init__(self, experience: Experience) -> None:
        super().__init__()
        self._experience = experience

    def next_text(self) -> str:
        text = super().next_text()
        self._experience.sent[text] = time.monotonic()
        return text


class Rolling:
    """An async context. Within it three nodes and a balancer run."""

    def __init__(self, balancer: str, load: Load, folder: Path, twistd: list[str]) -> None:
        self._load = load
        self._folder = folder
        self._redis = Redis("redis", folder)
        # Each node has an address of its own and the same admin port, because Caddy asks all for their health there.
        health = free_port()
        settings = {"redis": f"redis://127.0.0.1:{self._redis.port}/0", "drain": load.drain, "heartbeat": 5}
        settings |= {"trusted_proxies": ["127.0.0.1"]}
        self._nodes = [
            Node(f"node{number}", folder, twistd, settings, {}, f"127.0.0.{10 + number}", admin_port=health)
            for number in range(1, NODES + 1)
        ]
        self._port = free_port()
        upstreams = [Upstream(node.address[1], health, node.address[0]) for node in self._nodes]
        self._balancer = Process(balancer, folder, BalancerFile(balancer, folder, self._port, upstreams).command, {})
        self._experience = Experience()
        self._ledger = _TimedLedger(self._experience)
        self._visitors: list[Visitor] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self._redis.end)
        await self._redis.start()
        for node in self._nodes:
            self._stack.push_async_callback(node.end)
            await node.start()
        self._stack.push_async_callback(self._balancer.end)
        await self._balancer.launch_and_wait(self._balancer_serves)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def _balancer_serves(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(wire.request("GET", "/openapi.json", {"Connection": "close"}))
            status, _ = await wire.read_head(reader)
        except (OSError, EOFError):
            return False
        wire.close(writer)
        return status == 200

    async def run(self) -> Outcome:
        """Let everybody join, restart all nodes, and check what everybody got."""
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number in range(self._load.visitors):
                visitor = Visitor(number, f"room{number % IDENTIFIERS}", ("127.0.0.1", self._port), self._experience)
                self._visitors.append(visitor)
                tasks.append(group.create_task(visitor.listen()))
                await asyncio.sleep(1 / JOINS_EACH_SECOND)
            await wait_until(self._all_are_there, 60, "all visitors have joined")
            self._experience.ends.clear()
            outcome = Outcome(self._load, Findings(), self._experience, self._ledger, fewest=self._load.visitors)
            watching = group.create_task(self._watch(outcome))
            publishing = [
                group.create_task(self._publish(outcome)) for _ in range(PUBLISHERS if self._load.pushes else 0)
            ]
            await asyncio.sleep(2)
            for node in self._nodes:
                await self._restart(node, outcome)
            await asyncio.sleep(self._load.levelled)
            outcome.spread = [await _listeners_of(node) for node in self._nodes]
            self._is_over = True
            for task in publishing:
                await task
            await asyncio.sleep(self._load.grace)
            for task in (watching, *tasks):
                task.cancel()
        for visitor in self._visitors:
            outcome.findings.add(check(self._ledger.acknowledged, visitor.client.history))
        return outcome

    _is_over = False

    async def _all_are_there(self) -> bool:
        return self._count() == len(self._visitors)

    def _count(self) -> int:
        return sum(visitor.is_there for visitor in self._visitors)

    async def _watch(self, outcome: Outcome) -> None:
        while True:
            outcome.fewest = min(outcome.fewest, self._count())
            await asyncio.sleep(0.05)

    async def _publish(self, outcome: Outcome) -> None:
        names = {f"room{number}": 0 for number in range(IDENTIFIERS)}
        publisher = Publisher(self._ledger, [("127.0.0.1", self._port)], random.Random(), lambda: None)
        await publisher.publish(names, PUBLISHERS / outcome.load.pushes, lambda: not self._is_over)
        publisher.close()

    async def _restart(self, node: Node, outcome: Outcome) -> None:
        began = time.monotonic()
        await node.end()
        outcome.took.append(time.monotonic() - began)
        await node.start()
        await asyncio.sleep(max(self._load.grace, began + self._load.drain + self._load.grace - time.monotonic()))
        outcome.present.append(self._count())


async def _listeners_of(node: Node) -> int:
    text = await node.metrics()
    return int(sum(float(number) for number in re.findall(r"^cometify_listeners\{.*\} (\S+)", text, re.MULTILINE)))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile, or 0 if there is nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0
