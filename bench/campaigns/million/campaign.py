"""One run: listeners join, rest, get pushes, lose their server by kill -9 and come back."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from attrs import asdict, define, field, frozen

from bench.campaigns.million.crowd import IDENTIFIER, Crowd, Figures
from bench.campaigns.million.footprint import (
    Memory,
    children,
    cpu_seconds,
    descriptors,
    proportional,
    workers,
)
from bench.rig import wire
from bench.rig.account import KEY
from bench.rig.console import say
from bench.rig.node import Node
from bench.rig.processes import wait_until
from bench.rig.redis import Redis

MARGIN = 4 * 2**30
"""Bytes of memory that must stay available. A run ends before it takes more."""
_LOOK_EVERY = 0.2
_SAY_EVERY = 5.0
_DELIVERED_WITHIN = 60.0
_TRIES = 20
"""Connections that are tried for a push."""
_REDIS_FIRST = -10
"""The priority of Redis (`nice`). Tens of workers share two cores with it here, and it would get a hundredth of them as one of
so many processes. A real Redis has a core of its own."""


@frozen
class Plan:
    """The size of a run. `rest`: seconds without pushes. `pushes`: to all. `within`: the most seconds of a wait for all.

    `returns`: True if the server is killed, and the listeners come back. `longest`: the most seconds until a listener comes
    again, which is 30 in a browser.
    """

    listeners: int
    workers: int
    rest: float = 50.0
    pushes: int = 5
    within: float = 240.0
    heartbeat: int = 25
    returns: bool = True
    longest: float = 30


@define
class Measured:
    """The figures of a run: bytes, seconds, and milliseconds of latencies.

    `join_cpu`: of the server, until all had joined for the first time. `server`: the growth of the memory of the server's
    processes. `base`: their memory without listeners. `redis`: the memory of Redis. `kernel`: the growth of the kernel's
    memory for both ends of all connections. `generator`: the memory of the crowd's processes. `used`: the growth of the memory
    that the machine has in use. `rest_cpu`, `rest_redis_cpu`: seconds of CPU in a second at rest. `beats`: heartbeats in a
    second. `fan_out`: seconds from a push until the last listener had it, the median of all pushes. `back_in`, `back_90`:
    seconds from the kill until all were back, and nine of ten; 0 if they were not. `away`: connections that
    were refused or failed before all were back. `fewest`, `most`: file descriptors of a worker. `load`: of the machine at the
    start and the end.
    """

    listeners: int
    workers: int
    heartbeat: int
    joined_in: float = 0.0
    join_cpu: float = 0.0
    server: int = 0
    base: int = 0
    redis: int = 0
    kernel: int = 0
    generator: int = 0
    used: int = 0
    rest_cpu: float = 0.0
    rest_redis_cpu: float = 0.0
    beats: float = 0.0
    fan_out: float = 0.0
    fan_out_cpu: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    back_in: float = 0.0
    back_90: float = 0.0
    away: dict[str, int] = field(factory=dict)
    fewest: int = 0
    most: int = 0
    load: tuple[float, float] = (0.0, 0.0)
    violations: list[str] = field(factory=list)

    @property
    def server_side(self) -> int:
        """Bytes on the server's side: its processes, Redis, and the kernel for one end of each connection."""
        return self.base + self.server + self.redis + self.kernel // 2

    def lost_since(self, before: Figures, after: Figures, when: str) -> list[str]:
        """Note and return what listeners have lost between two moments."""
        names = ("lost", "wrong", "missed")
        found = [f"{after[name] - before[name]:,} {name} {when}" for name in names if after[name] > before[name]]
        self.violations += found
        return found

    def as_json(self) -> dict[str, Any]:
        """All figures as plain values."""
        return {**asdict(self), "server_side": self.server_side}


class Starving(Exception):
    """The machine has too little memory left."""


def _has_delivered(before: Figures, now: Figures) -> bool:
    """True if each listener that was joined before has got one push more."""
    return now["delivered"] >= before["delivered"] + before["joined"]


class Campaign:
    """A run in a folder of its own. `twistd`: the command. `environment`: of the server."""

    def __init__(self, plan: Plan, folder: Path, twistd: list[str], environment: dict[str, str] | None = None) -> None:
        self.plan = plan
        self.measured = Measured(plan.listeners, plan.workers, plan.heartbeat)
        self._folder = folder
        self._redis = Redis("redis", folder) if plan.workers > 1 else None
        settings: dict[str, Any] = {"heartbeat": plan.heartbeat, "workers": plan.workers}
        if self._redis is not None:
            settings["redis"] = f"redis://127.0.0.1:{self._redis.port}/0"
        self._node = Node("server", folder, twistd, settings, environment or {}, account={"listeners_per_ip": 30})

    async def run(self) -> Measured:
        """Measure everything. What must not be is told in `violations`."""
        began = os.getloadavg()[0]
        try:
            if self._redis is not None:
                await self._redis.start()
                with suppress(PermissionError):
                    os.setpriority(os.PRIO_PROCESS, self._redis.pid, _REDIS_FIRST)
            await self._start_server()
            await self._measure()
        except Starving as reason:
            self.measured.violations.append(str(reason))
        finally:
            self.measured.load = began, os.getloadavg()[0]
            await self._end()
        return self.measured

    async def _end(self) -> None:
        with suppress(Exception):  # the end of the other processes matters more
            await self._kill_server()
        if self._redis is not None:
            await self._redis.end(signal.SIGKILL)

    async def _start_server(self) -> None:
        """Start the server, and wait until it is ready. Tens of workers that start at once take longer than one process."""
        await self._node.launch()
        await wait_until(self._node.ready, self.plan.within, "the server is ready")

    async def _kill_server(self) -> None:
        """Kill all processes of the server."""
        if not self._node.is_running:
            return
        pids = [self._node.pid, *children(self._node.pid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self._node.end(signal.SIGKILL)

    @property
    def _server(self) -> list[int]:
        """The processes of the server, the first process last."""
        return [*children(self._node.pid), self._node.pid]

    async def _measure(self) -> None:
        await self._all_workers()
        plan, measured, before = self.plan, self.measured, Memory.now()
        measured.base = proportional(self._server)
        cpu = cpu_seconds(self._server)
        with Crowd.of(plan.listeners, self._node.address[1], plan.longest, self._folder) as crowd:
            measured.joined_in, _ = await self._until_joined(crowd, "joined")
            measured.join_cpu = cpu_seconds(self._server) - cpu
            await self._rest(crowd)
            self._weigh(crowd, before)
            await self._push(crowd)
            if plan.returns:
                await self._kill_and_wait(crowd)

    async def _all_workers(self) -> None:
        """Wait until all workers listen, and for the work of a start to be over."""
        within = asyncio.get_running_loop().time() + self.plan.within
        number = self.plan.workers if self.plan.workers > 1 else 0
        while await self._workers_ready() < number:
            if asyncio.get_running_loop().time() > within:
                self.measured.violations.append("not all workers were ready in time")
                return
            await asyncio.sleep(_LOOK_EVERY)

    async def _workers_ready(self) -> int:
        if self.plan.workers == 1:
            return 0
        lines = (await self._node.metrics()).splitlines()
        return sum(line.startswith("cometify_worker_up{") and line.endswith(" 1.0") for line in lines)

    async def _wait(self, crowd: Crowd, done: Callable[[Figures], bool], seconds: float, what: str) -> Figures:
        """Wait until the figures are `done`, or note a violation. Raises Starving."""
        began = said = time.monotonic()
        while not done(figures := crowd.figures()):
            available, now = Memory.now().available, time.monotonic()
            if available < MARGIN:
                raise Starving(f"{figures['joined']:,} listeners leave {available / 2**30:.1f} GiB, so the run ends")
            if now - began > seconds:
                say(f"  {figures.named}")
                self.measured.violations.append(f"not within {seconds:.0f} s: {what}")
                break
            if now - said > _SAY_EVERY:
                said = now
                say(
                    f"  {now - began:5.0f} s: {figures['joined']:,} joined, {figures['waiting']:,} wait, "
                    f"{available / 2**30:.1f} GiB available"
                )
            await asyncio.sleep(_LOOK_EVERY)
        return figures

    async def _until_joined(self, crowd: Crowd, what: str) -> tuple[float, float]:
        """Wait until all are joined. Returns the seconds until all were, and until nine of ten were."""
        began, ninety = time.monotonic_ns(), 0
        number = self.plan.listeners

        def is_done(figures: Figures) -> bool:
            nonlocal ninety
            if not ninety and figures["joined"] >= number * 0.9:
                ninety = figures["last_join"]  # and not now: the look can be later than the last of all joins
            return figures["joined"] >= number

        figures = await self._wait(crowd, is_done, self.plan.within, f"all {what}")
        return (figures["last_join"] - began) / 1e9, (ninety - began) / 1e9

    async def _rest(self, crowd: Crowd) -> None:
        """Measure the heartbeats. The first seconds belong to what follows a storm of joins."""
        await asyncio.sleep(min(5.0, self.plan.rest))
        measured = self.measured
        figures, cpu, redis, began = crowd.figures(), cpu_seconds(self._server), self._redis_cpu(), time.monotonic()
        await asyncio.sleep(self.plan.rest)
        took, after = time.monotonic() - began, crowd.figures()
        measured.rest_cpu = (cpu_seconds(self._server) - cpu) / took
        measured.rest_redis_cpu = (self._redis_cpu() - redis) / took
        measured.beats = (after["beats"] - figures["beats"]) / took
        measured.lost_since(figures, after, "at rest")

    def _redis_cpu(self) -> float:
        return cpu_seconds([self._redis.pid]) if self._redis is not None else 0.0

    def _weigh(self, crowd: Crowd, before: Memory) -> None:
        measured, now = self.measured, Memory.now()
        measured.server = proportional(self._server) - measured.base
        measured.generator = proportional(crowd.pids)
        measured.redis = proportional([self._redis.pid]) if self._redis is not None else 0
        measured.kernel = max(0, now.kernel - before.kernel)  # others may give some back
        measured.used = before.available - now.available
        counts = [descriptors(pid) for pid in workers(self._node.pid)]
        measured.fewest, measured.most = min(counts), max(counts)

    async def _push(self, crowd: Crowd) -> None:
        """Push to all, one after the other."""
        begin, took = crowd.figures(), []
        cpu = cpu_seconds(self._server)
        for number in range(1, self.plan.pushes + 1):
            before, sent = crowd.figures(), time.monotonic_ns()
            await self._post(f"T{number:06}.{sent:020}")
            after = await self._wait(
                crowd, partial(_has_delivered, before), _DELIVERED_WITHIN, f"push {number} reached all"
            )
            took.append((after["last_delivery"] - sent) / 1e9)
        end, measured = crowd.figures(), self.measured
        measured.fan_out_cpu = (cpu_seconds(self._server) - cpu) / max(1, end["delivered"] - begin["delivered"])
        measured.fan_out = sorted(took)[len(took) // 2]
        measured.p50, measured.p99 = end.percentile(50, begin), end.percentile(99, begin)
        measured.lost_since(begin, end, "while pushes were delivered")

    async def _post(self, text: str) -> None:
        """Push. A worker whose file descriptors are all in use closes the connection, so that another is tried."""
        for _ in range(_TRIES):
            with suppress(OSError, EOFError):
                return await self._post_once(text)
        raise SystemExit(f"a push was not answered in {_TRIES} tries: the workers have no file descriptors left")

    async def _post_once(self, text: str) -> None:
        fields = {"identifier": IDENTIFIER, "text": text, "secret": "0", "secure": wire.secure(IDENTIFIER, text)}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reader, writer = await asyncio.open_connection(*self._node.address)
        try:
            writer.write(wire.request("POST", f"/{KEY}/push/{IDENTIFIER}", headers, urlencode(fields).encode()))
            answer = await wire.read_answer(reader)
        finally:
            wire.close(writer)
        if answer.status >= 300:
            raise SystemExit(f"a push was answered with {answer.status}: {answer.body!r}")

    async def _kill_and_wait(self, crowd: Crowd) -> None:
        """Kill the server with SIGKILL, start it again at once, and wait until all are back."""
        before, began = crowd.figures(), time.monotonic()
        await self._kill_server()
        await self._wait(crowd, lambda now: now["lost"] - before["lost"] >= self.plan.listeners, 60, "all are lost")
        starting: Awaitable[None] = asyncio.create_task(self._start_server())
        head_start = time.monotonic() - began
        all_in, ninety = await self._until_joined(crowd, "are back")
        await starting
        after = crowd.figures()
        if after["joined"] >= self.plan.listeners:
            self.measured.back_in, self.measured.back_90 = head_start + all_in, head_start + ninety
        self.measured.away = {name: after[name] - before[name] for name in ("failed", "refused", "late")}
