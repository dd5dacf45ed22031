"""Progress on the terminal."""

import sys


def say(words: str) -> None:
    """Print a line without buffering, because a run takes minutes and is watched."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()
