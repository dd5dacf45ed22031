"""The moment at which a server is ready for the first time."""

from collections.abc import Callable

from cometify.runtime.reactor import Clock

LOOK_EVERY = 0.05
"""Seconds between two looks."""


def when_ready(clock: Clock, why_not: Callable[[], str | None], call: Callable[[], object]) -> None:
    """Call once the server is ready: now, or later if Redis or its replicas are not there yet."""
    if why_not() is None:
        call()
    else:
        clock.callLater(LOOK_EVERY, when_ready, clock, why_not, call)
