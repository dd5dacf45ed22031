"""The workloads on nodes that share a Redis. Each returns figures by name; the names have the units."""

import asyncio
import json
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.nodes import usage
from bench.rig import load_generator, wire
from bench.rig.account import KEY, SECRET
from bench.rig.client import Client, Group
from bench.rig.node import HostPort, Node
from bench.rig.redis import Redis
from bench.rig.transports import websocket

Figures = dict[str, float]
_TEXT = 100
"""Bytes of a text."""
_PUBLISHER = (
    "--pub-path", f"/{KEY}/push/{{0}}", "--pub-enc", "url", "--pub-body", "identifier={0}&secret=0&text={P}",
    "--pub-cometify", f"{KEY}:{SECRET}:{{0}}", "-s", str(_TEXT),
)  # fmt: skip


@dataclass
class SharedNodes:
    """Running nodes and the Redis that they share."""

    redis: Redis
    nodes: list[Node]

    async def spent(self) -> usage.Spent:
        """Measure what Redis and all nodes that still run have used until now."""
        return await usage.spent([node.pid for node in self.nodes if node.is_running], self.redis)


def made(folder: Path) -> Path:
    """Make a folder. Returns it."""
    folder.mkdir()
    return folder


@asynccontextmanager
async def shared_nodes(
    programs: Path,
    folder: Path,
    count: int,
    settings: Mapping[str, Any] | None = None,
    prefix: tuple[str, ...] = (),
    **account: Any,
) -> AsyncIterator[SharedNodes]:
    """Run a Redis and so many nodes during the block. `settings` and `account` are those that are not the defaults.

    `prefix`: stands before the command of each node.
    """
    async with AsyncExitStack() as stack:
        redis = Redis("redis", made(folder))
        stack.push_async_callback(redis.end)
        await redis.start()
        table = {"redis": f"redis://127.0.0.1:{redis.port}/0", "heartbeat": 25, **(settings or {})}
        twistd = [str(programs / "twistd")]
        names = [f"node{number}" for number in range(count)]
        nodes = [Node(name, folder, twistd, table, {}, prefix=prefix, account=account) for name in names]
        for node in nodes:
            stack.push_async_callback(node.end)
            await node.start()
        yield SharedNodes(redis, nodes)


def publisher(node: HostPort, identifier: str) -> list[str]:
    """The arguments by which the load generator pushes to an identifier at a node."""
    return ["--pub-port", str(node[1]), *(text.replace("{0}", identifier) for text in _PUBLISHER)]


async def generate(*arguments: str) -> dict[str, Any]:
    """Run the load generator. Returns its answer. Raises RuntimeError with its last words if there is none."""
    limits = ("--max-run", "60", "--drain", "2000", "--connect-timeout", "30")
    process = await asyncio.create_subprocess_exec(
        load_generator.program_for([]),
        *arguments,
        *limits,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, said = await process.communicate()
    if not output:
        raise RuntimeError(f"the generator: {said.decode().strip()}")
    answer: dict[str, Any] = json.loads(output)
    return answer


async def pushing(programs: Path, folder: Path, count: int, seconds: int, connections: int = 16) -> Figures:
    """Push back to back over so many connections to each node. There are no listeners."""
    async with shared_nodes(programs, folder, count) as one:
        load = ["-m", "2000000", "-r", "0", "--pub-secs", str(seconds), "--pub-conns", str(connections)]
        load += ["--warmup", "200", "-n", "0"]
        before = await one.spent()
        generating = [
            generate("--port", str(node.address[1]), *publisher(node.address, f"bench{number}"), *load)
            for number, node in enumerate(one.nodes)
        ]
        answers = await asyncio.gather(*generating)
        used = (await one.spent()).since(before)
        published = sum(answer["published"] + 200 for answer in answers)
        return {
            "pushes/s": sum(answer["publishes_per_s"] for answer in answers),
            "answer p50, ms": max(answer["pub_lat_us"]["p50"] for answer in answers) / 1000,
            "answer p99, ms": max(answer["pub_lat_us"]["p99"] for answer in answers) / 1000,
            "CPU of the nodes for a push, µs": 1e6 * sum(used.nodes) / published,
            "CPU of Redis for a push, µs": 1e6 * used.redis / published,
            "CPU of Redis for a push, in pipelined SETs": used.redis / published / await usage.cpu_of_set(one.redis),
            "refused": sum(answer["pub_errors"] for answer in answers),
        }


async def latency(programs: Path, folder: Path, pushes: int) -> Figures:
    """Measure from the POST at one node to a listener at the same and at another node, with a hundred pushes a second."""
    figures: Figures = {}
    async with shared_nodes(programs, folder, 2) as one:
        for name, node in (("the same node", one.nodes[0]), ("another node", one.nodes[1])):
            listening = ["--port", str(node.address[1]), "--path", f"/{KEY}/websocket?identifiers=bench"]
            load = ["-m", str(pushes), "-r", "100", "--warmup", "50", "-n", "1", "--await", '"type":"heartbeat"']
            answer = await generate(*listening, *publisher(one.nodes[0].address, "bench"), *load)
            figures[f"to {name}, p50, ms"] = answer["lat_us"]["p50"] / 1000
            figures[f"to {name}, p99, ms"] = answer["lat_us"]["p99"] / 1000
            figures[f"to {name}, lost"] = answer["lost"]
    return figures


async def redis_of_pushes(programs: Path, folder: Path, each: int) -> Figures:
    """Measure the memory and the commands of Redis for pushes of 100 bytes on twenty identifiers.

    `each` is the number of pushes on each identifier, and is also the number that is kept of each.
    """
    figures: Figures = {}
    async with shared_nodes(programs, folder / "plain", 1, buffer_pushes=each) as one:
        await _push(one.nodes[0].address, "first", 1, keyed=False)
        base = await usage.memory(one.redis.port)
        before = await usage.commands(one.redis.port)
        await _push_all(one.nodes[0].address, each, keyed=False)
        did = await usage.commands(one.redis.port) - before
        grown = await usage.memory(one.redis.port) - base
        figures["bytes for a push, its signature remembered"] = grown / (20 * each)
        figures["commands for a push, of the node"] = did["evalsha"] / (20 * each)
        figures["commands for a push, in its script"] = (sum(did.values()) - did["evalsha"]) / (20 * each)
    async with shared_nodes(programs, folder / "unsigned", 1, signature_memory=0, buffer_pushes=each) as one:
        await _push(one.nodes[0].address, "first", 1, keyed=False)
        base = await usage.memory(one.redis.port)
        await _push_all(one.nodes[0].address, each, keyed=False)
        full = await usage.memory(one.redis.port)
        figures["bytes for a push, signature_memory = 0"] = (full - base) / (20 * each)
        # The rings are full, so that each push takes the place of an older one and only the key is added.
        await _push_all(one.nodes[0].address, each, keyed=True)
        more = await usage.memory(one.redis.port) - full
        figures["bytes more with an Idempotency-Key of 36 characters"] = more / (20 * each)
    return figures


async def _push_all(node: HostPort, each: int, *, keyed: bool) -> None:
    await asyncio.gather(*(_push(node, f"kept{number}", each, keyed=keyed) for number in range(20)))


async def _push(node: HostPort, name: str, count: int, *, keyed: bool) -> None:
    """Push so many times over one connection, ten requests at a time. Raises RuntimeError if one is refused."""
    reader, writer = await asyncio.open_connection(*node)
    for begin in range(0, count, 10):
        requests = []
        for _ in range(min(10, count - begin)):
            text = "".join(random.choices("0123456789abcdef", k=_TEXT))
            fields = {"text": text, "secret": "0", "secure": wire.secure(name, text)}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            headers |= {"Idempotency-Key": text[:36]} if keyed else {}
            requests.append(wire.request("POST", f"/{KEY}/push/{name}", headers, urlencode(fields).encode()))
        writer.write(b"".join(requests))
        for _ in requests:
            answer = await wire.read_answer(reader)
            if answer.status != 200:
                raise RuntimeError(f"a push was answered {answer.status}: {answer.body.decode()}")
    wire.close(writer)


class _Listeners:
    """WebSockets that listen to one identifier. Each counts once in `at_the_head` when its replay has ended."""

    def __init__(self, count: int) -> None:
        self.clients = [Client(f"crowd-{number:06}", [Group(("bench",), right=False)]) for number in range(count)]
        self.deliveries: Counter[str] = Counter()
        self.at_the_head = 0
        self._changed = asyncio.Event()

    async def listen(self, client: Client, node: HostPort) -> None:
        """Listen over one connection until it ends."""
        streams = await asyncio.open_connection(*node)
        behind = True
        try:
            async for frame in websocket(streams, client):
                client.receive(frame)
                if frame["type"] == "push":
                    self.deliveries[frame["text"]] += 1
                elif frame["type"] == "heartbeat" and behind:
                    # The first heartbeat ends the replay.
                    behind = False
                    self.at_the_head += 1
                self._changed.set()
        except (OSError, EOFError):
            pass
        finally:
            wire.close(streams[1])

    async def wait_for_all(self) -> None:
        """Wait until all are at the head. Raises TimeoutError after a minute."""
        async with asyncio.timeout(60):
            while self.at_the_head < len(self.clients):
                self._changed.clear()
                await self._changed.wait()


async def death(programs: Path, folder: Path, count: int) -> Figures:
    """Kill a node with listeners, push fifty times, and let all listeners come to another node at once."""
    listeners = _Listeners(count)
    async with shared_nodes(programs, folder, 2, listeners_per_ip=count) as one, asyncio.TaskGroup() as group:
        dying, staying = one.nodes
        begun = await usage.commands(one.redis.port)
        for client in listeners.clients:
            group.create_task(listeners.listen(client, dying.address))
        await listeners.wait_for_all()
        joined = await usage.commands(one.redis.port) - begun
        await dying.end(signal.SIGKILL)
        await _push(staying.address, "bench", 50, keyed=False)
        before, began = await usage.spent([staying.pid], one.redis), time.monotonic()
        listeners.at_the_head = 0
        tasks = [group.create_task(listeners.listen(client, staying.address)) for client in listeners.clients]
        await listeners.wait_for_all()
        seconds = time.monotonic() - began
        used = (await usage.spent([staying.pid], one.redis)).since(before)
        for task in tasks:
            task.cancel()
    came = listeners.deliveries
    return {
        "commands for a listener that joins, of the node": joined["evalsha"] / count,
        "commands for a listener that joins, in its script": (sum(joined.values()) - joined["evalsha"]) / count,
        f"{count} come again: commands of the node": used.commands["evalsha"],
        f"{count} come again: commands, those in scripts included": sum(used.commands.values()),
        f"{count} come again: seconds until all have caught up": seconds,
        f"{count} come again: CPU of the node, s": used.nodes[0],
        f"{count} come again: CPU of Redis, s": used.redis,
        f"{count} come again: pushes that were missed and came": min(came.values()) == count and len(came),
    }


async def rest(programs: Path, folder: Path, seconds: float) -> Figures:
    """Measure one node with one listener while nothing happens."""
    listeners = _Listeners(1)
    async with shared_nodes(programs, folder, 1) as one, asyncio.TaskGroup() as group:
        task = group.create_task(listeners.listen(listeners.clients[0], one.nodes[0].address))
        await listeners.wait_for_all()
        before = await one.spent()
        await asyncio.sleep(seconds)
        used = (await one.spent()).since(before)
        task.cancel()
    return {
        "commands a second, those in scripts included, of a node at rest": sum(used.commands.values()) / seconds,
        "CPU of a node at rest, % of a core": 100 * used.nodes[0] / seconds,
        "CPU of Redis for it, % of a core": 100 * used.redis / seconds,
    }
