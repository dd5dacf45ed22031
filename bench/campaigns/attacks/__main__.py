"""Attack a server: python -m bench.campaigns.attacks [--seconds N] [--only NAMES] [--docs]. Ends with 1 above a bound."""

import argparse
import sys
import tempfile
from pathlib import Path

from bench.campaigns.attacks.campaign import Cost, run
from bench.campaigns.attacks.catalogue import ATTACKS
from bench.campaigns.attacks.table import row, table
from bench.campaigns.attacks.victim import running_victim, running_victim_with_redis
from bench.campaigns.attacks.with_redis import ATTACKS_WITH_REDIS
from bench.rig.console import say
from bench.rig.folders import BUILD, DOCS
from bench.rig.page_sections import fill_section
from bench.rig.server_process import raise_file_limit

PAGE = DOCS / "security.md"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.attacks",
        description="Attack a server of this machine, and measure the cost of each attack beside a good client.",
    )
    parser.add_argument("--seconds", type=float, default=5, help="duration of one attack (5)")
    parser.add_argument("--only", default="", help="carry out only attacks whose name contains this text")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    parser.add_argument("--docs", action="store_true", help=f"write the table into {PAGE.name}")
    return parser


def _attack(seconds: float, only: str, twistd: Path) -> tuple[list[Cost], bool]:
    """Carry out the attacks, each on the server that it is for. Returns their costs, and whether a log has a traceback."""
    costs, has_traceback = [], False
    for running, attacks in ((running_victim, ATTACKS), (running_victim_with_redis, ATTACKS_WITH_REDIS)):
        chosen = [attack for name, attack in attacks.items() if only in name]
        if not chosen:
            continue
        with tempfile.TemporaryDirectory(prefix="attacks-") as folder, running(Path(folder), [str(twistd)]) as victim:
            for cost in run(chosen, victim, seconds):
                costs.append(cost)
                say(row(cost, seconds))
                for violation in cost.violations():
                    say(f"    {violation}")
            has_traceback |= "Traceback" in victim.log.read_text(errors="replace")
    return costs, has_traceback


def main(arguments: list[str]) -> int:
    """Carry out the attacks. Returns 1 if one exceeds a bound, or if the server's log has a traceback."""
    options = _parser().parse_args(arguments)
    raise_file_limit()
    costs, has_traceback = _attack(options.seconds, options.only, options.bin.absolute() / "twistd")
    if has_traceback:
        say("the server's log has a traceback")
    if options.docs:
        PAGE.write_text(fill_section(PAGE.read_text(), "attacks", table(costs, options.seconds)))
    return int(has_traceback or any(cost.violations() for cost in costs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
