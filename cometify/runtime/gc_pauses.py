"""Short pauses of Python's garbage collector.

A full collection looks at every object and nothing else runs meanwhile: 50 to 80 ms with 10,000 listeners. So the
objects that a long collection has found alive are frozen (`gc.freeze`), and the next collection looks only at newer
ones. This frees as much as before, because connections leave no cycles behind (tests/runtime/test_gc_pauses.py). Once
an hour everything is unfrozen and looked at again, which finds the cycles that there may be all the same.
"""

import gc
import time
from collections.abc import Callable
from typing import cast

from twisted.internet import task
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from cometify.runtime.reactor import Reactor

LONG = 0.005
"""Seconds of a collection that is worth a freeze.

Freezing after every collection would also freeze objects that live for a moment. If those end up in cycles, they stay
until the hourly unfreeze.
"""
THRESHOLDS = (700, 10, 2)
"""Those of `gc.set_threshold`. With the last at 10, as Python has it, a full collection comes after 70,000 new objects, and
takes 20 to 40 ms when thousands come at once. At 2 it comes more often and takes a third. That costs the same in all, because
survivors are frozen."""
UNFREEZE_EVERY = 3600
"""Seconds between two collections of everything."""

log = Logger()


class FreezeSurvivors:
    """A callback for `gc.callbacks`: freezes what a long full collection has found alive."""

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


def keep_pauses_short(reactor: Reactor) -> None:
    """Set up the collector of this process. Call it once, when all parts of the server exist."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.callbacks.append(FreezeSurvivors())
    unfreeze = task.LoopingCall(gc.unfreeze)
    unfreeze.clock = cast("IReactorTime", reactor)
    stopped = unfreeze.start(UNFREEZE_EVERY, now=False)
    stopped.addErrback(lambda failure: log.failure("The hourly GC unfreeze stopped", failure))
