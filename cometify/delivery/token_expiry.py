"""The end of listeners whose token has expired.

The token gives the right to secret pushes until `exp`. The listener is ended then, and not only deprived of the right.
Its cursor therefore stays below the secret pushes that come later, so it loses nothing when it comes back with a new
token and its last position. If thousands of tokens expire together the last listeners are ended some turns of the event
loop later. A push that comes in between is delivered, and is not lost to them either.
"""

from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from cometify.core import errors
from cometify.core.listener import Listener
from cometify.runtime.reactor import CallLater

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

LONGEST = 1
"""Seconds until the wall clock is read again, because it can be set, and goes on while the machine is suspended."""
TOGETHER = 32
"""Expiries in one turn of the event loop. Thousands of pages can have a token with the same `exp`, and to end one
listener takes about 30 us."""


class TokenExpiry:
    """`later` is the reactor's callLater. `wall` is the wall clock in Unix seconds, which `exp` is compared with."""

    def __init__(self, later: CallLater, wall: "Callable[[], float]") -> None:
        self.wall = wall
        self._later = later
        self._until: dict[Listener, float] = {}
        # A heap. An entry that was replaced or discarded stays until its time comes, or until most entries are such:
        # a poller comes with the same token again and again, and a search for its old entry would cost more.
        self._next: list[tuple[float, int, Listener]] = []
        self._numbers = count()
        self._call: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._until)

    def expect(self, listener: Listener, until: float) -> None:
        """End the listener at `until` (Unix seconds; inf: never). Replaces the time that was expected before."""
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
        """Forget a listener that is gone, or has no token any longer."""
        self._until.pop(listener, None)

    def _set(self) -> None:
        seconds = min(max(self._next[0][0] - self.wall(), 0), LONGEST)
        if self._call is None:
            self._call = self._later(seconds, self._look)
        else:
            self._call.reset(seconds)

    def _look(self) -> None:
        self._call = None
        try:
            self._end_some(self.wall())
        finally:  # a fault with one listener must not keep the others from being ended
            if self._until:
                self._set()
            else:
                self._next.clear()

    def _end_some(self, now: float) -> None:
        """End what is due, at most `TOGETHER`. The next look follows at once if there is more."""
        for _ in range(TOGETHER):
            if not self._next or self._next[0][0] > now:
                return
            until, _number, listener = heappop(self._next)
            if self._until.get(listener) == until:
                del self._until[listener]
                listener.end(
                    errors.Refused(
                        errors.INVALID_TOKEN,
                        "The token has expired: come back with a new one and the last position, and nothing is lost.",
                    )
                )
