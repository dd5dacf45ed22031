"""The end of listeners whose token has expired: before anything more is written to them, so that their cursors stay below
the secret pushes that come then, and a new token with the old cursor loses nothing.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Any

from cometify.core import errors
from cometify.core.listener import Listener

LONGEST = 1
"""Seconds until the wall clock is looked at again: it can be set, and goes on while the machine is suspended."""


class TokenExpiry:
    """`later` is the reactor's callLater, `wall` the wall clock in Unix seconds, with which `exp` is compared."""

    def __init__(self, later: Callable[..., Any], wall: Callable[[], float]) -> None:
        self.wall = wall
        self._later = later
        self._until: dict[Listener, float] = {}
        # What is void stays in it until it comes up or is most of it: a poller comes with the same token over and over.
        self._next: list[tuple[float, int, Listener]] = []
        self._numbers = count()
        self._call: Any = None

    def __len__(self) -> int:
        return len(self._until)

    def expect(self, listener: Listener, until: float) -> None:
        """End the listener at `until` (Unix seconds; inf: never), and not when it was to be before."""
        if until == inf:
            self.discard(listener)
            return
        self._until[listener] = until
        if len(self._next) > 2 * len(self._until) + 100:
            self._next = [(at, next(self._numbers), one) for one, at in self._until.items()]
            heapify(self._next)
        else:
            heappush(self._next, (until, next(self._numbers), listener))
        if self._next[0][2] is listener:
            self._set()

    def discard(self, listener: Listener) -> None:
        """The listener is gone, or has no token any more."""
        self._until.pop(listener, None)

    def _set(self) -> None:
        seconds = min(max(self._next[0][0] - self.wall(), 0), LONGEST)
        if self._call is None:
            self._call = self._later(seconds, self._look)
        else:
            self._call.reset(seconds)

    def _look(self) -> None:
        self._call = None
        now = self.wall()
        while self._next and self._next[0][0] <= now:
            until, _number, listener = heappop(self._next)
            if self._until.get(listener) == until:
                del self._until[listener]
                listener.end(
                    errors.Refused(
                        errors.INVALID_TOKEN,
                        "The token has expired: come back with a new one and the last position, and nothing is lost.",
                    )
                )
        if self._until:
            self._set()
        else:
            self._next.clear()  # of what is void only
