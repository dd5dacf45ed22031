"""Short pauses of Python's garbage collector.

A full collection looks at every object and nothing else runs meanwhile: 50 to 80 ms with 10,000 listeners. So the
objects that a long collection has found alive are frozen (`gc.freeze`), and the next collection looks only at newer
ones. This frees as much as before, because connections leave no cycles behind (tests/runtime/test_gc_pauses.py). Cycles of
frozen objects that there may be all the same are found once there are `MOST_UNSEEN` more frozen objects than before.

A collection writes to each object that it looks at. Frozen objects are not written to. So workers share the memory of what
was loaded and frozen before they were forked (`cometify.app.launcher`).
"""

import gc
import time
from collections.abc import Callable

from cometify.runtime.periodic_task import PeriodicTask
from cometify.runtime.reactor import Reactor

LONG = 0.005
"""Seconds of a collection that is worth a freeze.

Freezing after every collection would also freeze objects that live for a moment. If those end up in cycles, they stay
until everything is collected.
"""
THRESHOLDS = (700, 10, 2)
"""Those of `gc.set_threshold`. With the last at 10, as Python has it, a full collection comes after 70,000 new objects, and
takes 20 to 40 ms when thousands come at once. At 2 it comes more often and takes a third. That costs the same in all, because
survivors are frozen."""
LOOK_EVERY = 3600
"""Seconds between two counts of the frozen objects."""
MOST_UNSEEN = 500_000
"""Frozen objects more than at the last collection of everything, or than at any count since, at which everything is collected.

A listener has 7 to 25. If all of them were garbage, it would be 100 MB at most. A collection every hour would find it earlier.
But it would be a long pause that comes by the calendar, and workers would no longer share the memory of what was loaded.
"""


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


class FindOverlooked:
    """Collects everything when it is called, if there are `most` frozen objects more than after an earlier call."""

    def __init__(self, most: int = MOST_UNSEEN) -> None:
        self._most = most
        self._known = gc.get_freeze_count()

    def __call__(self) -> None:
        count = gc.get_freeze_count()
        if count - self._known >= self._most:
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            count = gc.get_freeze_count()
            self._known = count
        self._known = min(self._known, count)


def keep_pauses_short(reactor: Reactor) -> None:
    """Set up the collector of this process. Call it once, when all parts of the server exist."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.callbacks.append(FreezeSurvivors())
    PeriodicTask("finding overlooked cycles", LOOK_EVERY, FindOverlooked(), reactor).start()
