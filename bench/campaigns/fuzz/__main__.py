"""Fuzz a server: python -m bench.campaigns.fuzz [--inputs N] [--seed S]. Ends with 1 if a promise does not hold."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.campaigns.fuzz.campaign import Part, Verdict, run
from bench.campaigns.fuzz.target import running_target
from bench.rig.console import say
from bench.rig.folders import BUILD
from bench.rig.server_process import raise_file_limit

PART = 150_000
"""Inputs for one server. Signatures are made for the time at which a part begins, and are right for five minutes."""
FRUGAL = {"MALLOC_MMAP_THRESHOLD_": "32768", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""The allocator gives free memory back, so that the memory of the process is the memory that the server holds."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.fuzz",
        description="Send odd and hostile inputs to a server of this machine, with a good client beside them.",
    )
    parser.add_argument("--inputs", type=int, default=100_000, help="number of inputs (100,000)")
    parser.add_argument("--seed", type=int, default=1, help="the inputs of a seed are the same each time (1)")
    parser.add_argument("--first", type=int, default=0, help="number of the first input, to repeat one alone (0)")
    parser.add_argument("--clock", type=int, help="Unix time of signatures and tokens, to repeat an input (now)")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    return parser


def _parts(options: argparse.Namespace) -> Iterator[Part]:
    for first in range(options.first, options.first + options.inputs, PART):
        count = min(PART, options.first + options.inputs - first)
        yield Part(options.seed, options.clock or int(time.time()), first, count)


def _report(verdict: Verdict) -> None:
    part, latencies = verdict.part, verdict.latencies
    say(
        f"inputs {part.first} to {part.first + part.count - 1} of seed {part.seed}: {verdict.seconds:.0f} s, "
        f"{sum(verdict.tally.kinds.values()) / verdict.seconds:.0f} inputs/s; good client: {len(latencies.seconds)} pushes, "
        f"p50 {latencies.percentile(50) * 1e3:.1f} ms, p99 {latencies.percentile(99) * 1e3:.1f} ms, "
        f"longest {latencies.percentile(100) * 1e3:.0f} ms; longest turn {verdict.turn * 1e3:.0f} ms; "
        f"memory {verdict.memory / 1e6:+.1f} MB; {verdict.log.count(chr(10))} lines of log"
    )
    for name, counts in (("inputs", verdict.tally.kinds), ("outcomes", verdict.tally.outcomes)):
        say(f"  {name}: " + ", ".join(f"{key} {count:,}" for key, count in counts.most_common()))
    for fault in verdict.tally.faults:
        say(f"  input {fault.number} ({fault.kind}): {fault.reason}\n    pieces = {fault.pieces[:20_000]}")
        say(f"    again: --seed {part.seed} --clock {part.clock} --first {fault.number} --inputs 1")
    for violation in verdict.violations():
        say(f"  FAILED: {violation}")
    if "Traceback" in verdict.log:
        say(verdict.log[verdict.log.index("Traceback") :][:4000])


def main(arguments: list[str]) -> int:
    """Play the inputs in parts, each against a server of its own. Returns 1 if a promise does not hold."""
    options = _parser().parse_args(arguments)
    raise_file_limit()
    failed = False
    for part in _parts(options):
        twistd = [str(options.bin.absolute() / "twistd")]
        with (
            tempfile.TemporaryDirectory(prefix="fuzz-") as folder,
            running_target(Path(folder), twistd, FRUGAL) as victim,
        ):
            verdict = run(part, victim)
        _report(verdict)
        failed = failed or bool(verdict.violations())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
