"""Measure Cometify and its peers: python -m bench.speed --bin .venv/bin [--quick] [--out DIR]. See bench/README.md."""

import sys

from bench.speed.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
