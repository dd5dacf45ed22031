"""Kill everything while rows are committed: python -m bench.campaigns.outbox [--rows N] [--kills N]. Ends with 1 on a loss."""

import argparse
import asyncio
import random
import sys
from pathlib import Path

from bench.campaigns.outbox.campaign import Campaign, Result
from bench.campaigns.outbox.system import System, temporary_folder
from bench.rig.console import say
from bench.rig.folders import BUILD


def table(result: Result) -> str:
    """Return the result as a Markdown table."""
    kills = ", ".join(f"{name} {count}" for name, count in sorted(result.kills.items()))
    figures = {
        "rows committed": f"{result.rows:,}",
        "kills": f"{sum(result.kills.values())} ({kills})",
        "lost": len(result.lost),
        "doubled": len(result.doubled),
        "of a rolled-back transaction": len(result.rolled_back),
        "overtaken": result.overtaken,
        "dead letters": result.dead,
        "rows a second": f"{result.rows_a_second:,.0f}",
        "commit to listener, p50": f"{result.p50 * 1000:.1f} ms",
        "commit to listener, p99": f"{result.p99 * 1000:.1f} ms",
    }
    return "\n".join(
        ["| figure | value |", "| --- | ---: |", *(f"| {name} | {value} |" for name, value in figures.items())]
    )


async def play(options: argparse.Namespace, python: Path, environment: dict[str, str]) -> Result:
    """Run the campaign in a folder of its own."""
    with temporary_folder() as folder:
        system = System(Path(folder), python, environment)
        try:
            await system.start()
            campaign = Campaign(system, random.Random(options.seed))
            return await campaign.run(options.calm, options.backlog, options.rows, options.kills, options.pause)
        finally:
            await system.end()


def parser() -> argparse.ArgumentParser:
    """The options of the campaign."""
    made = argparse.ArgumentParser(
        prog="bench.campaigns.outbox", description="Kill everything while rows are committed."
    )
    made.add_argument("--rows", type=int, default=20_000, help="rows that are committed during the kills (20,000)")
    made.add_argument("--kills", type=int, default=200, help="kills at random moments (200)")
    made.add_argument("--pause", type=float, default=1.0, help="mean seconds between two kills (1)")
    made.add_argument("--calm", type=int, default=2_000, help="rows whose delay is measured before (2,000)")
    made.add_argument("--backlog", type=int, default=10_000, help="rows that wait when the relay starts (10,000)")
    made.add_argument("--seed", type=int, default=1, help="the choices of a seed are the same each time (1)")
    made.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's python and twistd")
    return made


def main(arguments: list[str]) -> int:
    """Run the campaign and print the figures. Returns 1 if a promise was broken."""
    options = parser().parse_args(arguments)
    result = asyncio.run(play(options, options.bin.absolute() / "python", {}))
    say(table(result))
    for violation in result.violations():
        say(f"FAILED: {violation}")
    return int(bool(result.violations()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
