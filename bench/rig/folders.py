"""Folders of bench/: where programs are built, where peers are installed, where results go."""

from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
DOCS = BENCH.parent / "docs"
BUILD = BENCH / ".build"
"""The programs that are compiled here, and `venv`, in which Cometify is installed."""
PEERS = BENCH / ".peers"
"""Packages of npm and PyPI."""
OUT = BENCH / "out"
"""Results."""
