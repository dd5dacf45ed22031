"""Measure Cometify and its peers by turns: python bench/run.py --bin .venv/bin [--quick] [--out DIR]; see README.md."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.cli import main  # noqa: E402 - the repository is on the path only now

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
