"""Keeps the pauses of Python's garbage collector short.

A full collection looks at all there is, again and again, while nothing else is done: 50 to 80 ms with 10,000 listeners. So
what one has found alive is put aside, and the next looks only at what came since. That frees no less: connections leave no
cycles behind (tests/runtime/test_gc_pauses.py), and what else there may be is found once an hour.
"""

import gc
import time
from collections.abc import Callable
from typing import Any

from twisted.internet import task
from twisted.logger import Logger

LONG = 0.005
"""Seconds of a collection from which on it is worth while to put aside what it has looked at. Not after each: what is
alive for this moment only is put aside with the rest, and if it dies in a cycle that must wait for the hour."""
ALL_AGAIN = 3600
"""Seconds after which everything is looked at once more."""

log = Logger()


class FreezeSurvivors:
    """Told by the collector when it begins and stops, as `gc.callbacks` has it."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = 0.0

    def __call__(self, phase: str, about: dict[str, int]) -> None:
        if about["generation"] < 2:
            return
        if phase == "start":
            self._began = self._clock()
        elif self._clock() - self._began > LONG:
            gc.freeze()


def keep_pauses_short(reactor: Any) -> None:
    """From now on, in this process. Called once, when all that a server is made of is there."""
    gc.collect()
    gc.freeze()
    gc.callbacks.append(FreezeSurvivors())
    again = task.LoopingCall(gc.unfreeze)
    again.clock = reactor
    again.start(ALL_AGAIN, now=False).addErrback(lambda failure: log.failure("No more collections", failure))
