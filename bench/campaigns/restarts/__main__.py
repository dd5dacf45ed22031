"""Restart nodes: python -m bench.campaigns.restarts [--balancers nginx,...] [--docs]. Ends with 1 if anything was lost."""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from bench.campaigns.restarts.rolling import Load, Outcome, Rolling, percentile
from bench.rig.balancers import NAMES
from bench.rig.console import say
from bench.rig.folders import BUILD, DOCS
from bench.rig.machine import facts
from bench.rig.page_sections import fill_section
from bench.rig.server_process import raise_file_limit

LOADS = (Load(visitors=900, pushes=0), Load(visitors=2000, pushes=100))
PAGE = DOCS / "load-balancer.md"


def rows(balancer: str, outcome: Outcome) -> dict[str, str]:
    """Return the figures of one rolling restart, by their names."""
    seen, found, load = outcome.experience, outcome.findings, outcome.load
    away, delays = seen.away, [delay * 1000 for delay in seen.delays]
    figures = {
        "balancer": balancer,
        "listeners": f"{load.visitors:,}",
        "pushes": f"{len(outcome.ledger.acknowledged):,}",
        "deliveries": f"{found.received:,}",
        "lost": str(len(found.lost)),
        "doubled": str(len(found.doubled)),
        "gaps": str(len(found.gaps)),
        "refused": str(outcome.refused),
        "fewest there": f"{100 * outcome.fewest / load.visitors:.1f} %",
        "there 3 s after each drain": f"{100 * min(outcome.present) / load.visitors:.1f} %",
        "reconnects": f"{len(away):,}",
        "away p50, p99, s": f"{percentile(away, 50):.2f}, {percentile(away, 99):.2f}",
        "delivery p50, p99, max, ms": " to ".join(f"{percentile(delays, p):,.0f}" for p in (50, 99, 100)),
        "on the nodes at the end": ", ".join(map(str, outcome.spread)),
        "a node took, s": " to ".join(f"{took:.1f}" for took in (min(outcome.took), max(outcome.took))),
        "load average of the machine": f"{os.getloadavg()[0]:.1f}",
    }
    if not delays:
        figures["delivery p50, p99, max, ms"] = "-"
    return figures


def table(columns: list[dict[str, str]]) -> str:
    """Return a table with a column for each rolling restart."""
    names = list(columns[0])
    lines = ["| " + " | ".join(["", *(f"{column['balancer']}" for column in columns)]) + " |"]
    lines.append("| --- |" + " ---: |" * len(columns))
    lines += ["| " + " | ".join([name, *(column[name] for column in columns)]) + " |" for name in names[1:]]
    return "\n".join(lines)


async def _run(balancer: str, load: Load, twistd: str) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="restarts-") as folder:
        async with Rolling(balancer, load, Path(folder), [twistd]) as rolling:
            return await rolling.run()


def main(arguments: list[str]) -> int:
    """Play all rolling restarts. Returns 1 if something was lost, or if listeners stayed away."""
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.restarts", description="Restart nodes one after the other behind each load balancer."
    )
    parser.add_argument("--balancers", default=",".join(NAMES), help=f"those to use ({','.join(NAMES)})")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    parser.add_argument("--docs", action="store_true", help=f"write the table into docs/{PAGE.name}")
    options = parser.parse_args(arguments)
    raise_file_limit()
    columns, faults = [], []
    for balancer in options.balancers.split(","):
        for load in LOADS:
            outcome = asyncio.run(_run(balancer, load, str(options.bin.absolute() / "twistd")))
            columns.append(rows(balancer, outcome))
            faults += [f"{balancer}, {load.visitors} listeners: {fault}" for fault in outcome.faults()]
            say(", ".join(f"{name} {value}" for name, value in columns[-1].items()))
    for fault in faults[:20]:
        say(fault)
    if options.docs:
        machine = facts()
        text = f"Measured on {machine['processor']}, {machine['system']}, {machine['date']}, everything on this one machine."
        text += f"\n\n{table(columns)}"
        PAGE.write_text(fill_section(PAGE.read_text(), "restarts", text))
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
