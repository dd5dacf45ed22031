"""The engine clock: the wall clock read once, advanced by one that never jumps."""

import time
from collections.abc import Callable


def engine_clock() -> Callable[[], int]:
    """A clock in microseconds of Unix time. It goes on while the machine is suspended and ignores who sets the date."""
    which = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    offset = time.time_ns() - time.clock_gettime_ns(which)
    return lambda: (time.clock_gettime_ns(which) + offset) // 1000
