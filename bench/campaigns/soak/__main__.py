"""Soak a server: python -m bench.campaigns.soak [--minutes N] [--bin FOLDER]. Ends with 1 if the server has grown."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bench.campaigns.soak.growth import Sample, growth
from bench.campaigns.soak.soaked_server import SoakedServer, soaked_server
from bench.rig.console import say
from bench.rig.folders import BUILD
from bench.rig.server_process import raise_file_limit

CONNECTIONS = 10_000
"""Connections of listeners in a cycle."""
IDENTIFIERS = 2_000
"""Identifiers that come and go. More than are alive at once."""
LEAST_CYCLES = 4
MEGABYTES = 4.0
"""Growth of the resident memory that is accepted. It is wide because freed memory is not always given back."""
OBJECTS = 300
"""Growth of Python objects that is accepted. One object kept for each of a cycle's listeners would be ten thousand."""


def _run_cycles(server: SoakedServer, minutes: float) -> list[Sample]:
    """Run cycles until the time is over.

    Returns the samples without the first quarter, because some entries of the engine last a day and still gather then.
    """
    samples: list[Sample] = []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < minutes * 60 or len(samples) < LEAST_CYCLES:
        sample, counts = server.run_cycle(CONNECTIONS)
        samples.append(sample)
        done = ", ".join(f"{name} {times:,}" for name, times in sorted(counts.items()))
        say(f"{passed:.0f} s: at rest {sample.rss / 1e6:.1f} MB, {sample.objects:,} objects, after {done}")
    return samples[len(samples) // 4 :]


def main(arguments: list[str]) -> int:
    """Soak a server and print its growth. Returns 1 if it has grown, or if its log has a traceback."""
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.soak", description="Check that nothing grows in a server under load."
    )
    parser.add_argument("--minutes", type=float, default=10, help="duration (10)")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    options = parser.parse_args(arguments)
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        log = Path(folder) / "server.log"
        with soaked_server(Path(folder), [str(options.bin.absolute() / "twistd")], IDENTIFIERS) as server:
            grown = growth(_run_cycles(server, options.minutes))
        wrong = "Traceback" in log.read_text(errors="replace")
    say(f"from the first half to the second: {grown.summary()}")
    if wrong:
        say("the server's log has a traceback")
    return int(wrong or grown.rss > MEGABYTES * 1e6 or grown.objects > OBJECTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
