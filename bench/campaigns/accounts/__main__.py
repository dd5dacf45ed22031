"""Account life on three nodes: python -m bench.campaigns.accounts [--lives N] [--bystanders N]. Ends with 1 on a violation."""

import argparse
import asyncio
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.campaigns.accounts.bystanders import gather_bystanders, push_to_bystanders
from bench.campaigns.accounts.life import STEPS, Life, NodeAddress, Times
from bench.rig.console import say
from bench.rig.folders import BUILD
from bench.rig.node import Node
from bench.rig.redis import Redis

WITHIN = 1.0
"""Seconds within which every node must follow."""
QUIET = 0.5
"""Seconds at the end, in which a late frame can come."""


@dataclass
class Result:
    """`noticed`: what bystanders noticed. `missing`: pushes to them that did not come, or came twice."""

    times: Times
    bystanders: int
    noticed: list[str]
    missing: int

    def violations(self, within: float = WITHIN) -> list[str]:
        """Return what must not be, in words."""
        found = [*self.times.faults, *[f"a bystander noticed: {what}" for what in self.noticed[:10]]]
        if self.missing:
            found.append(f"{self.missing} pushes to bystanders are missing or came twice")
        slow = {step: max(seconds) for step, seconds in self.times.seconds.items() if seconds and max(seconds) > within}
        return found + [f"{step} took {seconds:.2f} s on some node" for step, seconds in slow.items()]


async def play(
    lives: int, bystanders: int, twistd: list[str], environment: dict[str, str], folder: Path, nodes: int = 3
) -> Result:
    """Let accounts live one after the other, each step at the next node."""
    redis = Redis("redis", folder)
    await redis.start()
    settings = {"redis": f"redis://127.0.0.1:{redis.port}/0", "accounts": "redis", "heartbeat": 25}
    made = [Node(f"node{number}", folder, twistd, settings, environment) for number in range(nodes)]
    try:
        await asyncio.gather(*[node.start() for node in made])
        addresses = [NodeAddress(node.address, node.admin) for node in made]
        others = await gather_bystanders(bystanders, [node.address for node in made])
        times = Times()
        for number in range(lives):
            await Life(f"customer{number}", addresses, number, times).live()
            await push_to_bystanders(made[number % nodes].address, f"push {number}")
        await asyncio.sleep(QUIET)
        noticed = [what for other in others for what in other.noticed]
        missing = sum(abs(other.pushes - lives) for other in others)
        await asyncio.gather(*[other.leave() for other in others])
        return Result(times, bystanders, noticed, missing)
    finally:
        await asyncio.gather(*[node.end() for node in made])
        await redis.end()


def table(result: Result) -> str:
    """The times as a Markdown table, in milliseconds."""
    lines = ["| step | lives | median | longest |", "| --- | ---: | ---: | ---: |"]
    for step in STEPS:
        seconds = result.times.seconds[step]
        lines.append(
            f"| {step} | {len(seconds)} | {statistics.median(seconds) * 1000:.0f} ms | {max(seconds) * 1000:.0f} ms |"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Run the campaign and print the table. Returns 1 if there was a violation."""
    parser = argparse.ArgumentParser(prog="bench.campaigns.accounts", description="Let accounts live on three nodes.")
    parser.add_argument("--lives", type=int, default=50, help="accounts that live, one after the other (50)")
    parser.add_argument("--bystanders", type=int, default=500, help="listeners of another account (500)")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    options = parser.parse_args(arguments)
    twistd = [str(options.bin.absolute() / "twistd")]
    with tempfile.TemporaryDirectory(prefix="accounts-") as folder:
        result = asyncio.run(play(options.lives, options.bystanders, twistd, {}, Path(folder)))
    say(table(result))
    say(f"{result.bystanders} bystanders noticed {len(result.noticed)} things, and miss {result.missing} pushes.")
    violations = result.violations()
    for violation in violations:
        say(f"FAILED: {violation}")
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
