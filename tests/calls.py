"""Counts calls of functions, to see that something is computed, and how often, without measuring time."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType


@contextmanager
def _counted(kind: str, name_of: Callable[[FrameType, object], str]) -> Iterator[Counter[str]]:
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == kind:
            calls[name_of(frame, argument)] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def counted_c_calls() -> AbstractContextManager[Counter[str]]:
    """Count the calls of C functions within the block, by the function's name."""
    return _counted("c_call", lambda _frame, function: getattr(function, "__name__", ""))


def counted_python_calls() -> AbstractContextManager[Counter[str]]:
    """Count the calls of functions written in Python within the block, by the function's qualified name."""
    return _counted("call", lambda frame, _function: frame.f_code.co_qualname)
