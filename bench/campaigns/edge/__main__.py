"""An audience behind each cache: python -m bench.campaigns.edge [--listeners N] [--pushes N]. Ends with 1 on a violation.

The same listeners poll the server itself first. The server, the cache and the listeners share this machine, so the times are
those of all three together.
"""

import argparse
import asyncio
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from bench.campaigns.edge.audience_figures import Audience, Figures, Target, measure, table
from bench.rig.account import KEY, SECRET
from bench.rig.console import say
from bench.rig.edge_caches import CACHES, cache_command
from bench.rig.folders import BUILD
from bench.rig.node import Node
from bench.rig.ports import free_port
from bench.rig.processes import Process
from bench.rig.server_process import raise_file_limit

_JOINED = 'cometify_listeners_joined_total{transport="poll"}'


async def _polls(node: Node) -> int:
    """The polls that a server has had."""
    (line,) = [line for line in (await node.metrics()).splitlines() if line.startswith(_JOINED)]
    return int(float(line.split()[1]))


async def _behind(name: str, audience: Audience, twistd: list[str], folder: Path) -> Figures:
    """Measure an audience before a server of its own, behind a cache or none."""
    settings = {"heartbeat": 25, "trusted_proxies": ["127.0.0.1"]}
    node = Node("origin", folder, twistd, settings, {}, account={"edge": True})
    await node.start()
    origin = port = node.address[1]
    cache: Process | None = None
    try:
        if name in CACHES:
            port = free_port()
            cache = Process(name, folder, cache_command(name, folder, port, origin), {})
            await cache.launch_and_wait(lambda: _listens(port))
        return await measure(audience, Target(port, origin, KEY, SECRET, node.pid), lambda: _polls(node))
    finally:
        if cache is not None:
            await cache.end()
        await node.end()


async def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def main(arguments: list[str]) -> int:
    """Measure and print the table. Returns 1 if there was a violation."""
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.edge", description="Measure an audience behind the caches of deploy/."
    )
    parser.add_argument("--listeners", type=int, default=10_000, help="listeners of one identifier (10,000)")
    parser.add_argument("--pushes", type=int, default=10, help="pushes that are measured (10)")
    parser.add_argument("--rate", type=float, default=0.5, help="pushes a second (0.5)")
    parser.add_argument("--caches", default=",".join(CACHES), help=f"caches to measure ({','.join(CACHES)})")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    options = parser.parse_args(arguments)
    raise_file_limit()
    audience = Audience(options.listeners, options.pushes, options.rate)
    figures: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="edge-") as folder:
        for name in ("nothing", *options.caches.split(",")):
            twistd = [str(options.bin.absolute() / "twistd")]
            (Path(folder) / name).mkdir()
            figures[name] = asyncio.run(_behind(name, audience, twistd, Path(folder) / name))
    say(table(figures))
    violations = [line for name, one in figures.items() if name in CACHES for line in one.violations(name)]
    for violation in violations:
        say(f"FAILED: {violation}")
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
