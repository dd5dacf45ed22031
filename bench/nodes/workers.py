"""Workers on one node: what they deliver, push and join, how evenly they share the work, and what one costs Redis."""

import asyncio
import os
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bench.nodes import usage
from bench.nodes.workloads import Figures, SharedNodes, generate, publisher, shared_nodes
from bench.rig.account import KEY
from bench.rig.node import Node
from bench.rig.processes import STARTS_WITHIN, wait_until

_RATE = 20
"""Pushes a second to all listeners."""


async def workers(programs: Path, folder: Path, count: int, listeners: int, seconds: int) -> Figures:
    """Let listeners join, push to all of them, push back to back without listeners, and then do nothing.

    The figures of a listener and of a push are the CPU time of all workers together. So they are the same for any number of
    workers if a worker more costs nothing, and what `n` cores can do is `n` times what one can.
    """
    async with shared_nodes(programs, folder, 1, settings={"workers": count}, listeners_per_ip=listeners) as one:
        (node,) = one.nodes
        await _until_all_are_up(node, count)
        figures = await _rest(one, count, seconds)
        return figures | await _delivering(node, listeners, seconds) | await _pushing(one, seconds)


async def workers_on_one_core(programs: Path, folder: Path, count: int, listeners: int, seconds: int) -> Figures:
    """Let the workers of a node share one core. Redis and the clients have all other cores.

    So the figures tell what a core carries, however many cores the machine has. They must not depend on the number of workers.
    """
    own, *others = sorted(os.sched_getaffinity(0))
    pinned = ("taskset", "-c", str(own))
    with _kept_to(set(others) or {own}):
        async with shared_nodes(
            programs, folder, 1, settings={"workers": count}, prefix=pinned, listeners_per_ip=listeners
        ) as one:
            (node,) = one.nodes
            await _until_all_are_up(node, count)
            return await _delivering(node, listeners, seconds) | await _pushing(one, seconds)


@contextmanager
def _kept_to(cores: set[int]) -> Iterator[None]:
    """Keep this process, and those that it starts, to some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def _until_all_are_up(node: Node, count: int) -> None:
    """A server is ready once one of its workers is."""

    async def are_up() -> bool:
        return count == 1 or sum(_figure(await node.metrics(), "cometify_worker_up").values()) == count

    await wait_until(are_up, STARTS_WITHIN, "all workers are up")
    await asyncio.sleep(1)  # the last one may still do what it does once


async def _rest(one: SharedNodes, count: int, seconds: int) -> Figures:
    pids = _processes(one.nodes[0].pid)
    before = await usage.spent(pids, one.redis)
    await asyncio.sleep(seconds)
    used = (await usage.spent(pids, one.redis)).since(before)
    return {
        "at rest: CPU of a worker, % of a core": 100 * sum(used.nodes) / seconds / count,
        "at rest: CPU of Redis for a worker, % of a core": 100 * used.redis / seconds / count,
        "at rest: commands a second of a worker": sum(used.commands.values()) / seconds / count,
        "at rest: memory of a worker, MB": sum(map(_memory, pids)) / 1e6 / count,
    }


async def _delivering(node: Node, listeners: int, seconds: int) -> Figures:
    """The spread of the listeners is measured as well."""
    load = [
        "-n",
        str(listeners),
        "-m",
        str(_RATE * seconds),
        "-r",
        str(_RATE),
        "--warmup",
        "5",
        "--hold",
        str(min(seconds, 3)),
    ]
    listening = ["--port", str(node.address[1]), "--path", f"/{KEY}/websocket?identifiers=bench"]
    measured = ["--pid", str(node.pid), *listening, *publisher(node.address, "bench"), "--await", '"type":"heartbeat"']
    generating = asyncio.create_task(generate(*measured, *load))
    shares: Mapping[str, float] = {}
    while sum(shares.values()) < listeners and not generating.done():
        await asyncio.sleep(0.5)
        shares = _figure(await node.metrics(), "cometify_listeners")
    answer = await generating
    mean = statistics.mean(shares.values())
    return {
        "joins/s": answer["connect_per_s"],
        "CPU of a join, µs": answer["cpu_us_per_join"],
        "listeners of the fullest worker, % of the mean": 100 * max(shares.values()) / mean,
        "listeners of the emptiest worker, % of the mean": 100 * min(shares.values()) / mean,
        "CPU of a delivery, µs": answer["cpu_us_per_delivery"],
        "delivery p50, ms": answer["lat_us"]["p50"] / 1000,
        "delivery p99, ms": answer["lat_us"]["p99"] / 1000,
        "lost": answer["lost"],
    }


async def _pushing(one: SharedNodes, seconds: int) -> Figures:
    (node,) = one.nodes
    pids = _processes(node.pid)

    async def have_left() -> bool:
        return not any(_figure(await node.metrics(), "cometify_listeners").values())

    # A worker that has not yet noticed that its listeners have left counts as the fullest, and gets no publisher.
    await wait_until(have_left, STARTS_WITHIN, "all listeners have left")
    earlier = _figure(await node.metrics(), "cometify_pushes_accepted_total")
    load = ["-m", "2000000", "-r", "0", "--pub-secs", str(seconds), "--pub-conns", "32", "--warmup", "200", "-n", "0"]
    before = await usage.spent(pids, one.redis)
    answer = await generate("--port", str(node.address[1]), *publisher(node.address, "pushed"), *load)
    used = (await usage.spent(pids, one.redis)).since(before)
    published = answer["published"] + 200
    accepted = _figure(await node.metrics(), "cometify_pushes_accepted_total")
    shares = [accepted[worker] - earlier.get(worker, 0) for worker in accepted]
    mean = statistics.mean(shares)
    return {
        "pushes/s": answer["publishes_per_s"],
        "pushes over 32 connections: of the busiest worker, % of the mean": 100 * max(shares) / mean,
        "pushes over 32 connections: of the idlest worker, % of the mean": 100 * min(shares) / mean,
        "CPU of the workers for a push, µs": 1e6 * sum(used.nodes) / published,
        "CPU of Redis for a push, µs": 1e6 * used.redis / published,
    }


def _processes(pid: int) -> list[int]:
    """The workers of a server. With a single worker there is one process, which is the server itself."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] or [pid]


def _memory(pid: int) -> int:
    """Bytes of memory of a process (PSS): what several share counts in parts."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _figure(metrics: str, name: str) -> Mapping[str, float]:
    """A figure of each worker, by its number."""
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == name:
                found[sample.labels.get("worker", "1")] += int(sample.value)
    return found
