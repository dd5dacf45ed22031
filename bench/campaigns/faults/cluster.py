"""A cluster: nodes that share a Redis, with publishers and listeners on all of them."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.campaigns.faults.checker import Findings, check
from bench.campaigns.faults.listener import Listener
from bench.campaigns.faults.network_namespace import NetworkNamespace
from bench.campaigns.faults.publisher import Ledger, Publisher
from bench.campaigns.faults.wall_clock import WallClock
from bench.rig.account import SECRET
from bench.rig.client import Client, Group
from bench.rig.node import HostPort, Node
from bench.rig.processes import NotReady, wait_until
from bench.rig.redis import Redis, Sentinel
from bench.rig.redis_cluster import RedisCluster

NAMES = ("alpha", "beta", "gamma")
"""The identifiers that are pushed to."""
SERVICE = "cometify"
"""The Sentinels' name of the primary."""
JOINS_WITHIN = 30.0
Subscription = tuple[str, tuple[tuple[str, bool], ...]]
"""A transport, and the groups of a listener on it: identifiers joined by commas, and whether the group has a key."""
_SUBSCRIPTIONS: tuple[Subscription, ...] = (
    ("websocket", (("alpha,beta", True), ("gamma", False))),
    ("stream", (("gamma", True), ("beta", False), ("alpha", True))),
    ("events", (("alpha,beta,gamma", True),)),
    ("poll", (("gamma,alpha", False), ("beta", True))),
    ("hop", (("beta", True), ("alpha", True), ("gamma", False))),
)


@dataclass(frozen=True)
class ClusterSettings:
    """The parts of a cluster.

    `twistd` and `environment` start a node. `offsets` are the seconds by which each node's clock is wrong; None means the
    machine's clock. With `isolated` the first node has a network namespace. `sentinels` is their number; if there are any,
    there is a replica too. With `redis_cluster` there is a Redis Cluster instead, of three masters and three replicas. Each of
    `subscriptions` has `crowd` listeners. `pause` is the mean pause of a publisher in seconds. `sizes` are the bytes of a text
    by identifier. `node_settings` and `account` are added to each node's configuration. `settle_time` is the number of seconds
    in which all must be well again after a fault.
    """

    twistd: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    offsets: Sequence[int | None] = (None, None)
    isolated: bool = False
    sentinels: int = 0
    redis_cluster: bool = False
    redis: bool = True
    crowd: int = 1
    publishers: int = 4
    pause: float = 0.1
    sizes: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    node_settings: Mapping[str, Any] = field(default_factory=dict)
    account: Mapping[str, Any] = field(default_factory=dict)
    subscriptions: Sequence[Subscription] = _SUBSCRIPTIONS
    settle_time: float = 60.0


class Cluster:
    """An async context. Within it all processes run and all listeners have joined."""

    def __init__(self, settings: ClusterSettings, folder: Path, seed: str) -> None:
        self.settings = settings
        self.rng = random.Random(seed)
        self.ledger = Ledger()
        self.nodes: list[Node] = []
        self.redises: list[Redis] = []
        self.redis_cluster: RedisCluster | None = None
        self.sentinels: list[Sentinel] = []
        self.clocks: list[WallClock] = []
        self.network: NetworkNamespace | None = None
        self.listeners: list[Listener] = []
        self._folder = folder
        self._changed = asyncio.Event()
        self._publishing = False
        self._publisher_tasks: list[asyncio.Task[None]] = []
        self._listener_tasks: list[asyncio.Task[None]] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._stack = stack
            await self._start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    # Setting up

    async def _start(self) -> None:
        if self.settings.isolated:
            self.network = NetworkNamespace()
            await self.network.make()
            self._stack.push_async_callback(self.network.remove)
        if self.settings.redis_cluster:
            self.redis_cluster = RedisCluster(self._folder / "redis", replicas=3)
            self._stack.push_async_callback(asyncio.to_thread, self.redis_cluster.end)
            await asyncio.to_thread(self.redis_cluster.start)
        elif self.settings.redis:
            await self._start_redis()
        for index, offset in enumerate(self.settings.offsets):
            self._make_node(index, offset)
        await asyncio.gather(*(node.start() for node in self.nodes))
        self._start_listeners()
        await self.wait_for(self._all_joined, JOINS_WITHIN, "all listeners join")

    async def _start_redis(self) -> None:
        bind = (self.network.outside,) if self.network else ()
        primary = await self._make_redis("primary", bind)
        if self.settings.sentinels:
            await self._make_redis("replica", bind, primary.port)
        quorum = self.settings.sentinels // 2 + 1
        for number in range(self.settings.sentinels):
            sentinel = Sentinel(f"sentinel{number}", self._folder, SERVICE, primary.port, quorum)
            self._stack.push_async_callback(sentinel.end)
            self.sentinels.append(sentinel)
            await sentinel.start()

    async def _make_redis(self, name: str, bind: tuple[str, ...], replica_of: int = 0) -> Redis:
        redis = Redis(name, self._folder, bind)
        self._stack.push_async_callback(redis.end)
        self.redises.append(redis)
        await redis.start(replica_of)
        return redis

    def _make_node(self, index: int, offset: int | None) -> None:
        environment = dict(self.settings.environment)
        if offset is not None:
            self.clocks.append(WallClock(self._folder / f"clock{index}", offset))
            environment |= self.clocks[-1].environment
        network = self.network if index == 0 else None
        engine = self._engine_settings("127.0.0.1" if network is None else network.outside)
        settings = {**engine, **self.settings.node_settings}
        host, prefix = (network.host, network.prefix) if network else ("127.0.0.1", ())
        node = Node(
            f"node{index}",
            self._folder,
            self.settings.twistd,
            settings,
            environment,
            host,
            prefix,
            self.settings.account,
        )
        self._stack.push_async_callback(node.end)
        self.nodes.append(node)

    def _engine_settings(self, host: str) -> dict[str, Any]:
        if self.redis_cluster is not None:
            return {"redis": self.redis_cluster.url, "redis_wait": 1}
        if not self.settings.redis:
            return {}
        if not self.settings.sentinels:
            return {"redis": f"redis://{host}:{self.redises[0].port}/0"}
        sentinels = ",".join(f"{host}:{sentinel.port}" for sentinel in self.sentinels)
        return {"redis": f"redis+sentinel://{sentinels}/{SERVICE}", "redis_wait": 1}

    def _start_listeners(self) -> None:
        for number in range(self.settings.crowd):
            for transport, subscription in self.settings.subscriptions:
                groups = [Group(tuple(names.split(",")), right) for names, right in subscription]
                client = Client(f"{transport}-{number:04}", groups)
                self.listeners.append(Listener(client, transport, self.addresses, self.rng, self._changed.set))
        self._listener_tasks = [self._start_task(listener.listen()) for listener in self.listeners]

    def _start_task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(end)
        return task

    # While it runs

    @property
    def masters(self) -> RedisCluster:
        """The Redis Cluster. Raises AssertionError if there is none."""
        assert self.redis_cluster is not None
        return self.redis_cluster

    @property
    def addresses(self) -> list[HostPort]:
        """Hosts and ports of the nodes."""
        return [node.address for node in self.nodes]

    async def wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for a condition that listeners or publishers bring about. Raises NotReady with `what`."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise NotReady(f"not within {seconds:.0f} s: {what}") from None

    def start_publishing(self) -> None:
        """Let all publishers push from now on."""
        self._publishing = True
        sizes = dict(self.settings.sizes)
        for _ in range(self.settings.publishers):
            publisher = Publisher(self.ledger, self.addresses, self.rng, self._changed.set)
            self._stack.callback(publisher.close)
            publishing = publisher.publish(sizes, self.settings.pause, lambda: self._publishing)
            self._publisher_tasks.append(self._start_task(publishing))

    async def wait_for_pushes(self, count: int, within: float | None = None) -> None:
        """Wait until so many more pushes were acknowledged. Raises NotReady."""
        goal = len(self.ledger.acknowledged) + count
        what = f"{count} more pushes are acknowledged"
        await self.wait_for(lambda: len(self.ledger.acknowledged) >= goal, within or self.settings.settle_time, what)

    async def wait_until_ready(self) -> None:
        """Wait until all nodes are ready. Raises NotReady."""
        for node in self.nodes:
            await wait_until(node.ready, self.settings.settle_time, f"{node.name} is ready again")

    async def settle(self, *, gaps_allowed: bool) -> Findings:
        """Stop publishing, wait for all deliveries, and check every listener's history."""
        late = Findings()
        try:
            await self.stop_publishing()
            if not gaps_allowed:
                await self.wait_for_delivery(self.settings.settle_time / 4)
        except NotReady as reason:
            late.other.append(str(reason))
        await self._push_last(late)
        findings = self._check(gaps_expected=gaps_allowed)
        findings.add(late)
        return findings

    async def stop_publishing(self) -> None:
        """Begin no further push, and wait until those under way are acknowledged. Raises NotReady."""
        self._publishing = False
        publishing, self._publisher_tasks = self._publisher_tasks, []
        if not publishing:
            return
        done, waiting = await asyncio.wait(publishing, timeout=self.settings.settle_time)
        for task in done:
            task.result()
        if waiting:
            raise NotReady(f"{len(waiting)} publishers have no answer after {self.settings.settle_time:.0f} s")

    async def wait_for_delivery(self, seconds: float) -> None:
        """Wait until every listener has the last push that it may see. Raises NotReady."""
        await self.wait_for(lambda: not self._behind(), seconds, "every acknowledged push came to every listener")

    async def _push_last(self, late: Findings) -> None:
        """Push once more to each identifier.

        A listener that has this push has had everything before it, or never will: pushes come in order.
        """
        publisher = Publisher(self.ledger, self.addresses, self.rng, self._changed.set)
        try:
            async with asyncio.timeout(self.settings.settle_time):
                last = [await publisher.push(name, secret=False) for name in NAMES]
            await self.wait_for(
                lambda: all(
                    one.client.has_reached(push.identifier, push.position) for one in self.listeners for push in last
                ),
                self.settings.settle_time / 2,
                "the last pushes come to every listener",
            )
        except TimeoutError:
            late.other.append(f"a last push is not acknowledged within {self.settings.settle_time:.0f} s")
        except NotReady as reason:
            late.other.append(str(reason))
        finally:
            publisher.close()

    def _behind(self) -> list[str]:
        """The listeners that lack the last push that they may see."""
        last: dict[tuple[str, bool], int] = {}
        for push in self.ledger.acknowledged:
            for right in (True,) if push.secret else (True, False):
                last[push.identifier, right] = max(push.position, last.get((push.identifier, right), 0))
        return [
            one.client.name
            for one in self.listeners
            for name, right in one.client.history.rights.items()
            if not one.client.has_reached(name, last.get((name, right), 0))
        ]

    def _check(self, *, gaps_expected: bool) -> Findings:
        findings = Findings(other=[f"publisher: {remark}" for remark in self.ledger.remarks])
        self.ledger.remarks.clear()
        for task in self._listener_tasks:
            # A listener's task only ends by an error: a frame that could not be read, or a fault of this campaign.
            if task.done():
                task.result()
        for listener in self.listeners:
            findings.add(check(self.ledger.acknowledged, listener.client.history))
            if gaps_expected:
                findings.other += listener.client.history.missing_gaps()
            listener.client.history.forget_checked()
        self.ledger.acknowledged.clear()
        return findings

    def log_problems(self) -> list[str]:
        """Problems that stand in a node's log and nowhere else."""
        logs = [(node.name, node.log.read_text(errors="replace")) for node in self.nodes]
        return [f"{name} has a traceback in its log" for name, log in logs if "Traceback" in log] + [
            f"{name} has a secret in its log" for name, log in logs if SECRET in log
        ]

    def _all_joined(self) -> bool:
        return all(group.position is not None for one in self.listeners for group in one.client.groups)
