"""One flood as a process: python -m bench.campaigns.floods.flooder NAME PORT SECONDS. Prints a line when it begins, and
its totals as JSON in the end.

It gives way to all other processes of this machine, because the processors that it takes are not the server's fault.
"""

import json
import os
import sys
from dataclasses import asdict

from bench.campaigns.attacks.attacker import attack
from bench.campaigns.floods.catalogue import FLOODS
from bench.rig.server_process import raise_file_limit


def main(arguments: list[str]) -> int:
    """Carry out the flood that is named."""
    name, port, seconds = arguments
    os.nice(10)
    raise_file_limit()
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    sys.stdout.write(json.dumps(asdict(attack(FLOODS[name].attack, int(port), float(seconds)))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
