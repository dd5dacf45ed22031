"""What is measured. Each returns figures by name, in the units that the names tell."""

import asyncio
import json
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.campaigns.faults.listener import Place
from bench.nodes import usage
from bench.rig import wire
from bench.rig.client import Group, Page
from bench.rig.node import Node
from bench.rig.redis import Redis
from bench.rig.transports import websocket
from bench.speed.servers.cometify import KEY, SECRET
from bench.speed.servers.server import BUILD

Figures = dict[str, float]
_TEXT = 100
_PUBLISHER = (
    "--pub-path", f"/{KEY}/push/{{0}}", "--pub-enc", "url", "--pub-body", "identifier={0}&secret=0&text={P}",
    "--pub-cometify", f"{KEY}:{SECRET}:{{0}}", "-s", str(_TEXT),
)  # fmt: skip


@dataclass
class Service:
    """Nodes that share a Redis."""

    redis: Redis
    nodes: list[Node]

    async def spent(self) -> usage.Spent:
        """By all that live, until now."""
        return await usage.spent([node.pid for node in self.nodes if node.runs], self.redis)


def made(folder: Path) -> Path:
    """The folder, which is made."""
    folder.mkdir()
    return folder


@asynccontextmanager
async def service(programs: Path, folder: Path, count: int, **account: Any) -> AsyncIterator[Service]:
    """So many nodes. `account`: what is not as it comes."""
    async with AsyncExitStack() as stack:
        redis = Redis("redis", made(folder))
        stack.push_async_callback(redis.end)
        await redis.start()
        settings = {"redis": f"redis://127.0.0.1:{redis.port}/0", "heartbeat": 25}
        twistd = [str(programs / "twistd")]
        nodes = [Node(f"node{number}", folder, twistd, settings, {}, account=account) for number in range(count)]
        for node in nodes:
            stack.push_async_callback(node.end)
            await node.start()
        yield Service(redis, nodes)


def _publisher(place: Place, identifier: str) -> list[str]:
    return ["--pub-port", str(place[1]), *(text.replace("{0}", identifier) for text in _PUBLISHER)]


async def _generate(*arguments: str) -> dict[str, Any]:
    """Run the load generator; its answer."""
    limits = ("--max-run", "60", "--drain", "2000", "--connect-timeout", "30")
    process = await asyncio.create_subprocess_exec(
        str(BUILD / "wsload"), *arguments, *limits, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, said = await process.communicate()
    if not output:
        raise RuntimeError(f"the generator: {said.decode().strip()}")
    answer: dict[str, Any] = json.loads(output)
    return answer


async def pushing(programs: Path, folder: Path, count: int, seconds: int) -> Figures:
    """Pushes back to back over sixteen connections to each node; one listener at the first."""
    async with service(programs, folder, count) as one:
        load = [
            "-m",
            "2000000",
            "-r",
            "0",
            "--pub-secs",
            str(seconds),
            "--pub-conns",
            "16",
            "--warmup",
            "200",
            "-n",
            "0",
        ]
        before = await one.spent()
        generating = [
            _generate("--port", str(node.place[1]), *_publisher(node.place, f"bench{number}"), *load)
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
            "refused": sum(answer["pub_errors"] for answer in answers),
        }


async def latency(programs: Path, folder: Path, pushes: int) -> Figures:
    """From the POST at one node to a listener at the same and at another, a hundred pushes a second."""
    figures: Figures = {}
    async with service(programs, folder, 2) as one:
        for name, node in (("the same node", one.nodes[0]), ("another node", one.nodes[1])):
            listening = ["--port", str(node.place[1]), "--path", f"/{KEY}/websocket?identifiers=bench"]
            load = ["-m", str(pushes), "-r", "100", "--warmup", "50", "-n", "1", "--await", '"type":"heartbeat"']
            answer = await _generate(*listening, *_publisher(one.nodes[0].place, "bench"), *load)
            figures[f"to {name}, p50, ms"] = answer["lat_us"]["p50"] / 1000
            figures[f"to {name}, p99, ms"] = answer["lat_us"]["p99"] / 1000
            figures[f"to {name}, lost"] = answer["lost"]
    return figures


async def redis_of_pushes(programs: Path, folder: Path, each: int) -> Figures:
    """What Redis has of pushes of 100 bytes on twenty identifiers. `each`: so many on each, which must be all that is kept."""
    figures: Figures = {}
    async with service(programs, folder / "plain", 1, buffer_pushes=each) as one:
        await _push(one.nodes[0].place, "first", 1, keyed=False)
        base = await usage.memory(one.redis.port)
        before = await usage.commands(one.redis.port)
        await _push_all(one.nodes[0].place, each, keyed=False)
        did = await usage.commands(one.redis.port) - before
        grown = await usage.memory(one.redis.port) - base
        figures["bytes for a push, its signature remembered"] = grown / (20 * each)
        figures["commands for a push, of the node"] = did["evalsha"] / (20 * each)
        figures["commands for a push, in its script"] = (sum(did.values()) - did["evalsha"]) / (20 * each)
    async with service(programs, folder / "unsigned", 1, signature_memory=0, buffer_pushes=each) as one:
        await _push(one.nodes[0].place, "first", 1, keyed=False)
        base = await usage.memory(one.redis.port)
        await _push_all(one.nodes[0].place, each, keyed=False)
        full = await usage.memory(one.redis.port)
        figures["bytes for a push, signature_memory = 0"] = (full - base) / (20 * each)
        await _push_all(one.nodes[0].place, each, keyed=True)  # each takes the place of one, if all places are taken
        more = await usage.memory(one.redis.port) - full
        figures["bytes more with an Idempotency-Key of 36 characters"] = more / (20 * each)
    return figures


async def _push_all(place: Place, each: int, *, keyed: bool) -> None:
    await asyncio.gather(*(_push(place, f"kept{number}", each, keyed=keyed) for number in range(20)))


async def _push(place: Place, name: str, count: int, *, keyed: bool) -> None:
    """So many pushes over one connection, ten in flight."""
    reader, writer = await asyncio.open_connection(*place)
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


class _Crowd:
    """WebSockets that listen to one identifier. `caught_up`: set when all have got a push with this text."""

    def __init__(self, count: int) -> None:
        self.pages = [Page(f"crowd-{number:06}", [Group(("bench",), right=False)]) for number in range(count)]
        self.has: Counter[str] = Counter()
        self.at_the_head = 0
        self._moved = asyncio.Event()

    async def listen(self, page: Page, place: Place) -> None:
        """One connection, to its end."""
        streams = await asyncio.open_connection(*place)
        fresh = True
        try:
            async for frame in websocket(streams, page):
                page.take(frame)
                if frame["type"] == "push":
                    self.has[frame["text"]] += 1
                elif frame["type"] == "heartbeat" and fresh:
                    fresh = False
                    self.at_the_head += 1
                self._moved.set()
        except (OSError, EOFError):
            pass
        finally:
            wire.close(streams[1])

    async def until(self, count_of: Any) -> None:
        """Wait until a count is that of all."""
        async with asyncio.timeout(60):
            while count_of() < len(self.pages):
                self._moved.clear()
                await self._moved.wait()


async def death(programs: Path, folder: Path, count: int) -> Figures:
    """Listeners at a node that dies: they come to another all at once, and fifty pushes came meanwhile."""
    crowd = _Crowd(count)
    async with service(programs, folder, 2, listeners_per_ip=count) as one, asyncio.TaskGroup() as group:
        gone, left = one.nodes
        begun = await usage.commands(one.redis.port)
        for page in crowd.pages:
            group.create_task(crowd.listen(page, gone.place))
        await crowd.until(lambda: crowd.at_the_head)
        joined = await usage.commands(one.redis.port) - begun
        await gone.end(signal.SIGKILL)
        await _push(left.place, "bench", 50, keyed=False)
        before, began = await usage.spent([left.pid], one.redis), time.monotonic()
        crowd.at_the_head = 0
        tasks = [group.create_task(crowd.listen(page, left.place)) for page in crowd.pages]
        await crowd.until(lambda: crowd.at_the_head)
        seconds = time.monotonic() - began
        used = (await usage.spent([left.pid], one.redis)).since(before)
        for task in tasks:
            task.cancel()
    return {
        "commands for a listener that joins, of the node": joined["evalsha"] / count,
        "commands for a listener that joins, in its script": (sum(joined.values()) - joined["evalsha"]) / count,
        f"{count} come again: commands of the node": used.commands["evalsha"],
        f"{count} come again: commands, those in scripts included": sum(used.commands.values()),
        f"{count} come again: seconds until all have caught up": seconds,
        f"{count} come again: CPU of the node, s": used.nodes[0],
        f"{count} come again: CPU of Redis, s": used.redis,
        f"{count} come again: pushes that were missed and came": min(crowd.has.values()) == count and len(crowd.has),
    }


async def rest(programs: Path, folder: Path, seconds: float) -> Figures:
    """One node with one listener, and nothing happens."""
    crowd = _Crowd(1)
    async with service(programs, folder, 1) as one, asyncio.TaskGroup() as group:
        task = group.create_task(crowd.listen(crowd.pages[0], one.nodes[0].place))
        await crowd.until(lambda: crowd.at_the_head)
        before = await one.spent()
        await asyncio.sleep(seconds)
        used = (await one.spent()).since(before)
        task.cancel()
    return {
        "commands a second, those in scripts included, of a node at rest": sum(used.commands.values()) / seconds,
        "CPU of a node at rest, % of a core": 100 * used.nodes[0] / seconds,
        "CPU of Redis for it, % of a core": 100 * used.redis / seconds,
    }
