"""The command: python -m bench.campaigns.soak [--minutes N] [--bin FOLDER]. Ends with 1 where something has grown."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bench.campaigns.soak.growth import Sample, growth
from bench.campaigns.soak.soaked_server import Soaked, soaked
from bench.rig.server_process import raise_file_limit
from bench.speed.cli import say
from bench.speed.servers.server import BUILD

VISITS = 10_000
"""Connections of listeners in a cycle."""
NAMES = 2_000
"""Identifiers that come and go: more than are alive at once."""
LEAST = 4
"""Cycles."""
MEGABYTES = 4.0
OBJECTS = 300
"""What may be more in the second half: each cycle has ten thousand listeners, and nearly as many objects would be one for
each. Memory has a wide bound, for what is freed is not always given back.
"""


def _cycles(server: Soaked, minutes: float) -> list[Sample]:
    """Cycles until the time is over, without the first quarter, in which what lasts a day in the engine is still new."""
    samples: list[Sample] = []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < minutes * 60 or len(samples) < LEAST:
        sample, done = server.cycle(VISITS)
        samples.append(sample)
        what = ", ".join(f"{name} {times:,}" for name, times in sorted(done.items()))
        say(f"{passed:.0f} s: at rest {sample.rss / 1e6:.1f} MB, {sample.objects:,} objects, after {what}")
    return samples[len(samples) // 4 :]


def main(arguments: list[str]) -> int:
    """Soak, and tell."""
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.soak", description="See that nothing grows in a server under work."
    )
    parser.add_argument("--minutes", type=float, default=10, help="how long (10)")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    options = parser.parse_args(arguments)
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        log = Path(folder) / "server.log"
        with soaked(Path(folder), [str(options.bin.absolute() / "twistd")], NAMES) as server:
            grown = growth(_cycles(server, options.minutes))
        wrong = "Traceback" in log.read_text(errors="replace")
    say(f"from the first half to the second: {grown.told()}")
    if wrong:
        say("the server's log has a traceback")
    return int(wrong or grown.rss > MEGABYTES * 1e6 or grown.objects > OBJECTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
