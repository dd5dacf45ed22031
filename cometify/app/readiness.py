"""The moment at which a server, or a part of it, is ready for the first time."""

from collections.abc import Callable
from math import inf

from cometify.interfaces import IEngine
from cometify.runtime.reactor import Clock

LOOK_EVERY = 0.05
"""Seconds between two looks."""


def when_ready(clock: Clock, why_not: Callable[[], str | None], call: Callable[[], object], until: float = inf) -> None:
    """Call once the server is ready: now, or later if Redis or its replicas are not there yet. At `until` in any case."""
    if why_not() is None or clock.seconds() >= until:
        call()
    else:
        clock.callLater(LOOK_EVERY, when_ready, clock, why_not, call, until)


def why_not_whole(engine: IEngine) -> str | None:
    """Return the reason why a server that is ready refuses some accounts, or None. The reasons of /health tell no places."""
    return None if all(redis.is_up for redis in engine.redis_health()) else "redis_partly_away"
