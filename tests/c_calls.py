"""Counts calls of C functions, to see that something is computed, and how often, without measuring time."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def counted_c_calls() -> Iterator[Counter[str]]:
    """Count the calls of C functions within the block, by the function's name."""
    calls: Counter[str] = Counter()

    def note(_frame: FrameType, event: str, function: object) -> None:
        if event == "c_call":
            calls[getattr(function, "__name__", "")] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)
