"""The engine clock: the wall clock is read once, and then advanced by a clock that never jumps."""

import time
from collections.abc import Callable


def engine_clock() -> Callable[[], int]:
    """Make a clock in microseconds of Unix time.

    It goes on while the machine is suspended, and is not changed when somebody sets the date. Python has CLOCK_BOOTTIME on
    Linux only; elsewhere the clock stands still during a suspend.
    """
    which = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    offset = time.time_ns() - time.clock_gettime_ns(which)
    return lambda: (time.clock_gettime_ns(which) + offset) // 1000
