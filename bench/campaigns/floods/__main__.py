"""Flood a server: python -m bench.campaigns.floods [--seconds N] [--only NAMES] [--docs]. Ends with 1 above a bound."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bench.campaigns.floods.campaign import ENGINES, Felt, flood_once
from bench.campaigns.floods.catalogue import FLOODS
from bench.rig.console import say
from bench.rig.folders import BUILD, DOCS
from bench.rig.machine import facts
from bench.rig.page_sections import fill_section
from bench.rig.server_process import raise_file_limit

PAGE = DOCS / "hosting.md"
_HEAD = (
    "| flood | engine | quotas | sent, MB/s | pushes | listeners | refused | p50, ms | p99, ms | CPU p99, ms | lost "
    "| Redis, MB | formula, MB | named by |\n"
    "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
)


def row(felt: Felt) -> str:
    """One row of the table."""
    has_redis = felt.engine == "redis"
    named = [f"`{felt.flood.figure}`"] if felt.metric[0] > felt.metric[1] else []
    named += ["console"] if felt.console else []
    named += ["log"] if felt.log else []
    cells = (
        felt.flood.name,
        felt.engine,
        "yes" if felt.has_quotas else "no",
        f"{felt.sent / 1e6:.1f}",
        f"{felt.pushes:,}",
        f"{felt.listeners:,}",
        f"{felt.refused:,}",
        f"{felt.p50 * 1e3:.1f}",
        f"{felt.p99 * 1e3:.1f}",
        f"{felt.cpu_p99 * 1e3:.1f}",
        str(len(felt.errors)),
        f"{felt.redis / 1e6:.0f}" if has_redis else "",
        f"{felt.redis_bound / 1e6:.0f}" if has_redis else "",
        ", ".join(named),
    )
    return f"| {' | '.join(cells)} |"


def table(found: Iterable[Felt]) -> str:
    """The table of all floods."""
    return "\n".join([_HEAD, *(row(felt) for felt in found)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.floods", description="Let one account flood a server, and measure what another one feels."
    )
    parser.add_argument("--seconds", type=float, default=5, help="duration of one flood (5)")
    parser.add_argument("--only", default="", help="only floods whose name contains this text")
    parser.add_argument("--engines", default=",".join(ENGINES), help=f"those to use ({','.join(ENGINES)})")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    parser.add_argument("--docs", action="store_true", help=f"write the table into {PAGE.name}")
    return parser


def main(arguments: list[str]) -> int:
    """Carry out the floods. Returns 1 if one exceeds a bound, or if nobody names its account."""
    options = _parser().parse_args(arguments)
    raise_file_limit()
    twistd = [str(options.bin.absolute() / "twistd")]
    found = []
    for engine in options.engines.split(","):
        for flood in (flood for name, flood in FLOODS.items() if options.only in name):
            for has_quotas in (False, True):
                with tempfile.TemporaryDirectory(prefix="floods-") as folder:
                    felt = flood_once(flood, engine, Path(folder), twistd, options.seconds, has_quotas=has_quotas)
                found.append(felt)
                say(row(felt))
                for violation in felt.violations():
                    say(f"    {violation}")
    if options.docs:
        machine, load = facts(), os.getloadavg()[0]
        text = f"Measured on {machine['processor']}, {machine['system']}, {machine['date']}, everything on this one machine, "
        text += f"at a load average of {load:.1f}.\n\n{table(found)}"
        PAGE.write_text(fill_section(PAGE.read_text(), "floods", text))
    return int(any(felt.violations() for felt in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
