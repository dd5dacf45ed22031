"""A million idle listeners, or as many as the machine carries: python -m bench.campaigns.million [--listeners N] [--workers N].

Both ends are on this machine. The result is in bench/out. Ends with 1 if a listener was lost at rest, missed a push, or did not
come back.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from bench.campaigns.million import crowd
from bench.campaigns.million.campaign import Campaign, Plan
from bench.campaigns.million.report import in_words, write_page
from bench.rig import machine
from bench.rig.console import say
from bench.rig.folders import BUILD, OUT
from bench.rig.server_process import raise_file_limit
from cometify import __version__


def main(arguments: list[str]) -> int:
    """Measure, print, and write the result. Returns 1 if there was a violation."""
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.million", description="Measure idle WebSockets: at rest, with pushes, and after kill -9."
    )
    parser.add_argument("--listeners", type=int, default=19_000, help="idle listeners (19,000)")
    parser.add_argument("--workers", type=int, default=1, help="processes of the server (1)")
    parser.add_argument("--rest", type=float, default=50.0, help="seconds without pushes (50)")
    parser.add_argument("--pushes", type=int, default=5, help="pushes to all (5)")
    parser.add_argument("--within", type=float, default=240.0, help="most seconds until all have joined (240)")
    parser.add_argument("--without-return", action="store_true", help="do not kill the server: a run of half the time")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    parser.add_argument("--docs", action="store_true", help="write all results of bench/out into docs/million.md")
    options = parser.parse_args(arguments)
    raise_file_limit()
    crowd.build()
    plan = Plan(
        options.listeners,
        options.workers,
        options.rest,
        options.pushes,
        options.within,
        returns=not options.without_return,
    )
    facts = machine.facts()
    with tempfile.TemporaryDirectory(prefix="million-") as folder:
        campaign = Campaign(plan, Path(folder), [str(options.bin.absolute() / "twistd")])
        measured = asyncio.run(campaign.run())
    say(in_words(measured))
    result = {"machine": facts, "cometify": __version__, "figures": measured.as_json()}
    OUT.mkdir(exist_ok=True)
    name = f"million-{options.listeners}-{options.workers}.json"
    (OUT / name).write_text(json.dumps(result, indent=1) + "\n")
    if options.docs:
        write_page()
    for violation in measured.violations:
        say(f"FAILED: {violation}")
    return int(bool(measured.violations))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
