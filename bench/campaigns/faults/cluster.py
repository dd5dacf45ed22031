"""A world: nodes that share a Redis, publishers and listeners on all of them."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.campaigns.faults.checker import Findings, compare
from bench.campaigns.faults.listener import Listener, Place
from bench.campaigns.faults.network_namespace import Network
from bench.campaigns.faults.publisher import Ledger, Publisher
from bench.campaigns.faults.wall_clock import Clock
from bench.rig.client import Group, Page
from bench.rig.node import Node
from bench.rig.processes import NotReady, until
from bench.rig.redis import Redis, Sentinel
from bench.speed.servers.cometify import SECRET

NAMES = ("alpha", "beta", "gamma")
SERVICE = "cometify"
"""What the Sentinels call the primary."""
JOINS_WITHIN = 30.0
Asked = tuple[str, tuple[tuple[str, bool], ...]]
"""A transport, and the groups that a listener on it asks for: names, and whether with a key."""
_ASKED: tuple[Asked, ...] = (
    ("websocket", (("alpha,beta", True), ("gamma", False))),
    ("stream", (("gamma", True), ("beta", False), ("alpha", True))),
    ("events", (("alpha,beta,gamma", True),)),
    ("poll", (("gamma,alpha", False), ("beta", True))),
    ("hop", (("beta", True), ("alpha", True), ("gamma", False))),
)


@dataclass(frozen=True)
class Setting:
    """What a world is made of.

    `twistd`, `environment`: how a node is started. `offsets`: seconds by which the nodes' clocks are wrong; None, the
    machine's own. `apart`: the first node has a network of its own. `sentinels`: so many, over a primary and a replica.
    `asked`: who listens to what, `crowd` times. `pause`: seconds between two pushes of a publisher. `sizes`: bytes by
    identifier. `settles`: seconds in which all must be well again when a fault is over.
    """

    twistd: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    offsets: Sequence[int | None] = (None, None)
    apart: bool = False
    sentinels: int = 0
    redis: bool = True
    crowd: int = 1
    publishers: int = 4
    pause: float = 0.1
    sizes: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    settings: Mapping[str, Any] = field(default_factory=dict)
    account: Mapping[str, Any] = field(default_factory=dict)
    asked: Sequence[Asked] = _ASKED
    settles: float = 60.0


class World:
    """An async context: within it everything runs and the listeners have joined."""

    def __init__(self, setting: Setting, folder: Path, seed: str) -> None:
        self.setting = setting
        self.chance = random.Random(seed)
        self.ledger = Ledger()
        self.nodes: list[Node] = []
        self.redises: list[Redis] = []
        self.sentinels: list[Sentinel] = []
        self.clocks: list[Clock] = []
        self.network: Network | None = None
        self.listeners: list[Listener] = []
        self._folder = folder
        self._changed = asyncio.Event()
        self._going = False
        self._publishing: list[asyncio.Task[None]] = []
        self._listening: list[asyncio.Task[None]] = []
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
        if self.setting.apart:
            self.network = Network()
            await self.network.make()
            self._stack.push_async_callback(self.network.remove)
        if self.setting.redis:
            await self._start_redis()
        for index, offset in enumerate(self.setting.offsets):
            self._make_node(index, offset)
        await asyncio.gather(*(node.start() for node in self.nodes))
        self._start_listeners()
        await self.until(self._all_joined, JOINS_WITHIN, "all listeners join")

    async def _start_redis(self) -> None:
        bind = (self.network.outside,) if self.network else ()
        primary = await self._make_redis("primary", bind)
        if self.setting.sentinels:
            await self._make_redis("replica", bind, primary.port)
        quorum = self.setting.sentinels // 2 + 1
        for number in range(self.setting.sentinels):
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
        environment = dict(self.setting.environment)
        if offset is not None:
            self.clocks.append(Clock(self._folder / f"clock{index}", offset))
            environment |= self.clocks[-1].environment
        network = self.network if index == 0 else None
        settings = {**self._engine("127.0.0.1" if network is None else network.outside), **self.setting.settings}
        twistd = self.setting.twistd
        host, prefix = (network.host, network.prefix) if network else ("127.0.0.1", ())
        node = Node(f"node{index}", self._folder, twistd, settings, environment, host, prefix, self.setting.account)
        self._stack.push_async_callback(node.end)
        self.nodes.append(node)

    def _engine(self, host: str) -> dict[str, Any]:
        if not self.setting.redis:
            return {}
        if not self.setting.sentinels:
            return {"redis": f"redis://{host}:{self.redises[0].port}/0"}
        places = ",".join(f"{host}:{sentinel.port}" for sentinel in self.sentinels)
        return {"redis": f"redis+sentinel://{places}/{SERVICE}", "redis_wait": 1}

    def _start_listeners(self) -> None:
        for number in range(self.setting.crowd):
            for way, asked in self.setting.asked:
                groups = [Group(tuple(names.split(",")), right) for names, right in asked]
                page = Page(f"{way}-{number:04}", groups)
                self.listeners.append(Listener(page, way, self.places, self.chance, self._changed.set))
        self._listening = [self._task(listener.live()) for listener in self.listeners]

    def _task(self, coroutine: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(end)
        return task

    # While it runs

    @property
    def places(self) -> list[Place]:
        """Where the nodes are."""
        return [node.place for node in self.nodes]

    async def until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for what listeners or publishers see. Raises NotReady."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise NotReady(f"not within {seconds:.0f} s: {what}") from None

    def publish(self) -> None:
        """From now on all publishers push."""
        self._going = True
        sizes = dict(self.setting.sizes)
        for _ in range(self.setting.publishers):
            publisher = Publisher(self.ledger, self.places, self.chance, self._changed.set)
            self._stack.callback(publisher.close)
            pushing = publisher.publish(sizes, self.setting.pause, lambda: self._going)
            self._publishing.append(self._task(pushing))

    async def pushed(self, count: int, within: float | None = None) -> None:
        """Wait until so many more pushes were acknowledged. Raises NotReady."""
        goal = len(self.ledger.acknowledged) + count
        what = f"{count} more pushes are acknowledged"
        await self.until(lambda: len(self.ledger.acknowledged) >= goal, within or self.setting.settles, what)

    async def healed(self) -> None:
        """Wait until all nodes are ready. Raises NotReady."""
        for node in self.nodes:
            await until(node.ready, self.setting.settles, f"{node.name} is ready again")

    async def settle(self, *, gaps_allowed: bool) -> Findings:
        """The publishers come to their end, and all that was acknowledged is compared with what everybody has."""
        late = Findings()
        try:
            await self.publishers_end()
            if not gaps_allowed:
                await self.arrived(self.setting.settles / 4)
        except NotReady as reason:
            late.other.append(str(reason))
        await self._mark(late)
        findings = self._compare(gaps_expected=gaps_allowed)
        findings.add(late)
        return findings

    async def publishers_end(self) -> None:
        """Nobody begins a push any more, and those that were begun are acknowledged. Raises NotReady."""
        self._going = False
        publishing, self._publishing = self._publishing, []
        if not publishing:
            return
        done, waiting = await asyncio.wait(publishing, timeout=self.setting.settles)
        for task in done:
            task.result()
        if waiting:
            raise NotReady(f"{len(waiting)} publishers have no answer after {self.setting.settles:.0f} s")

    async def arrived(self, seconds: float) -> None:
        """Wait until everybody has the last push that it may see. Raises NotReady."""
        await self.until(lambda: not self._behind(), seconds, "what was acknowledged has come to everybody")

    async def _mark(self, late: Findings) -> None:
        """A last push on each identifier: whoever has it has had all before it, or never will."""
        publisher = Publisher(self.ledger, self.places, self.chance, self._changed.set)
        try:
            async with asyncio.timeout(self.setting.settles):
                marks = [await publisher.push(name, secret=False) for name in NAMES]
            await self.until(
                lambda: all(one.page.has(mark.identifier, mark.position) for one in self.listeners for mark in marks),
                self.setting.settles / 2,
                "the last pushes come to everybody",
            )
        except TimeoutError:
            late.other.append(f"a last push is not acknowledged within {self.setting.settles:.0f} s")
        except NotReady as reason:
            late.other.append(str(reason))
        finally:
            publisher.close()

    def _behind(self) -> list[str]:
        """Who has not got the last push that it may see."""
        last: dict[tuple[str, bool], int] = {}
        for push in self.ledger.acknowledged:
            for right in (True,) if push.secret else (True, False):
                last[push.identifier, right] = max(push.position, last.get((push.identifier, right), 0))
        return [
            one.page.name
            for one in self.listeners
            for name, right in one.page.diary.rights.items()
            if not one.page.has(name, last.get((name, right), 0))
        ]

    def _compare(self, *, gaps_expected: bool) -> Findings:
        findings = Findings(other=[f"publisher: {remark}" for remark in self.ledger.remarks])
        self.ledger.remarks.clear()
        for task in self._listening:
            if task.done():
                task.result()  # a frame that could not be read, or a fault of the checker's own
        for listener in self.listeners:
            findings.add(compare(self.ledger.acknowledged, listener.page.diary))
            if gaps_expected:
                findings.other += listener.page.diary.untold()
            listener.page.diary.turn_page()
        self.ledger.acknowledged.clear()
        return findings

    def complaints(self) -> list[str]:
        """What went wrong in a node, and was seen by nobody else."""
        logs = [(node.name, node.log.read_text(errors="replace")) for node in self.nodes]
        return [f"{name} has a traceback in its log" for name, log in logs if "Traceback" in log] + [
            f"{name} has a secret in its log" for name, log in logs if SECRET in log
        ]

    def _all_joined(self) -> bool:
        return all(group.position is not None for one in self.listeners for group in one.page.groups)
