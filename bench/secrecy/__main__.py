"""Measure how much the time of a join tells of secret pushes: python -m bench.secrecy [--joins N] [--redis].

A listener without a key polls two identifiers over and over, in random order. One of them has 1,000 secret pushes. Both have
one public push. The times of the two would differ if a join cost more where secret pushes are.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlencode

from bench.rig import wire
from bench.rig.account import KEY
from bench.rig.console import say
from bench.rig.folders import BUILD
from bench.rig.node import Node
from bench.rig.redis import Redis

HIDDEN = 1000
"""Secret pushes on one of the identifiers."""
WITH, WITHOUT = "with", "without"
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def quantile(times: list[float], part: float) -> float:
    """Return the time below which this part of the times lies."""
    return sorted(times)[int(part * len(times))]


def report(times: dict[str, list[float]]) -> list[str]:
    """Return a line for each quantile: the times with and without secret pushes, in microseconds, and their difference."""
    lines = []
    for name, part in (("p10", 0.1), ("p25", 0.25), ("p50", 0.5)):
        within, without = (quantile(times[which], part) * 1e6 for which in (WITH, WITHOUT))
        lines.append(f"{name}: {within:.1f} us with, {without:.1f} us without, difference {within - without:+.1f} us")
    return lines


class _Peer:
    """One connection to the node."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: bytes) -> float:
        """Send a request and read the answer. Returns the seconds between. Raises AssertionError if it is refused."""
        began = time.perf_counter()
        self._writer.write(request)
        answer = await wire.read_answer(self._reader)
        took = time.perf_counter() - began
        assert answer.status == 200, answer
        return took

    async def push(self, identifier: str, text: str, secret: int) -> None:
        body = urlencode({"text": text, "secret": secret, "secure": wire.secure(identifier, text)}).encode()
        await self.ask(wire.request("POST", f"/{KEY}/push/{identifier}", _FORM, body))


async def _measure(programs: Path, joins: int, with_redis: bool) -> dict[str, list[float]]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="secrecy-")))
        settings: dict[str, object] = {"heartbeat": 25}
        if with_redis:
            redis = Redis("redis", folder)
            stack.push_async_callback(redis.end)
            await redis.start()
            settings["redis"] = f"redis://127.0.0.1:{redis.port}/0"
        node = Node("node", folder, [str(programs / "twistd")], settings, {})
        stack.push_async_callback(node.end)
        await node.start()
        peer = _Peer(*await asyncio.open_connection(*node.address))
        for number in range(HIDDEN):
            await peer.push(WITH, f"secret {number}", 1)
        for which in (WITH, WITHOUT):
            await peer.push(which, "public", 0)
        times: dict[str, list[float]] = {WITH: [], WITHOUT: []}
        for which in random.sample([WITH, WITHOUT] * joins, 2 * joins):
            times[which].append(await peer.ask(wire.request("GET", f"/{KEY}/poll?identifiers={which}:0")))
        return times


def main(arguments: list[str]) -> int:
    """Measure, and print the differences."""
    parser = argparse.ArgumentParser(prog="bench.secrecy", description="Measure what the time of a join tells.")
    parser.add_argument("--joins", type=int, default=5000, help="joins on each identifier (5000)")
    parser.add_argument("--redis", action="store_true", help="keep the pushes in Redis")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    options = parser.parse_args(arguments)
    for line in report(asyncio.run(_measure(options.bin.absolute(), options.joins, options.redis))):
        say(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
