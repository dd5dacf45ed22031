"""Race renders against pushes: python -m bench.campaigns.races [--races N] [--only WAYS]. Ends with 1 on a violation."""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from bench.campaigns.races.campaign import Races, Result
from bench.campaigns.races.ways import MARGIN, WAYS, Start, Way
from bench.rig.console import say
from bench.rig.folders import BUILD
from bench.rig.node import Node
from bench.rig.postgres import running_postgres

_COLUMNS = (
    "races",
    "committed",
    "late",
    "closed",
    "applied",
    "repeats",
    "overtaken",
    "gaps",
    "missed",
    "absent",
    "wrong_pages",
)


def table(results: list[Result]) -> str:
    """The results as a Markdown table, one row for each way."""
    names = [name.replace("_", " ") for name in _COLUMNS]
    lines = [f"| way | {' | '.join(names)} |", "| --- |" + " ---: |" * len(_COLUMNS)]
    for result in results:
        figures = [f"{getattr(result, name):,}" for name in _COLUMNS]
        lines.append(f"| {result.way.name} | {' | '.join(figures)} |")
    return "\n".join(lines)


async def play(
    ways: list[Way], races: int, seed: int, twistd: list[str], environment: dict[str, str], folder: Path
) -> list[Result]:
    """Run so many races of each way, with a server and a database of their own."""
    node = Node("node", folder, twistd, {}, environment)
    results = []
    with running_postgres() as host:
        await node.start()
        began = time.monotonic()
        try:
            async with Races(str(host), node.address, random.Random(seed)) as campaign:
                for way in ways:
                    if way.start is Start.CLOCK:  # the memory of the server must reach back over the margin
                        await asyncio.sleep(max(0.0, MARGIN / 1e6 + 0.5 - (time.monotonic() - began)))
                    results.append(await campaign.run(way, races))
                    say(f"{time.monotonic() - began:.0f} s: {way.name}, {results[-1].missed:,} missed")
        finally:
            await node.end()
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.races", description="Load pages while transactions change what they show."
    )
    parser.add_argument("--races", type=int, default=10_000, help="races of each way (10,000)")
    parser.add_argument("--only", default="", help=f"some of: {', '.join(way.name for way in WAYS)}")
    parser.add_argument("--seed", type=int, default=1, help="the choices of a seed are the same each time (1)")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    return parser


def main(arguments: list[str]) -> int:
    """Run the campaign and print the table. Returns 1 if there was a violation."""
    options = _parser().parse_args(arguments)
    chosen = [name.strip() for name in options.only.split(",") if name.strip()]
    unknown = set(chosen) - {way.name for way in WAYS}
    if unknown:
        raise SystemExit(f"no such way: {', '.join(sorted(unknown))}")
    ways = [way for way in WAYS if not chosen or way.name in chosen]
    with tempfile.TemporaryDirectory(prefix="races-") as folder:
        twistd = [str(options.bin.absolute() / "twistd")]
        results = asyncio.run(play(ways, options.races, options.seed, twistd, {}, Path(folder)))
    say(table(results))
    for result in results:
        for difference in result.differences if result.way.closes else []:
            say(f"{result.way.name}: {difference}")
        for violation in result.violations():
            say(f"FAILED: {result.way.name}: {violation}")
    return int(any(result.violations() for result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
