"""The times at which the tokens of listeners expire.

A token gives the right to secret pushes until `exp`. `membership/expired_rights.py` takes the right away then. If thousands
of tokens expire together the last listeners keep the right for some turns of the event loop. A push that comes in between
is delivered to them.
"""

import time
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from cometify.core.listener import Listener
from cometify.runtime.reactor import CallLater

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

LONGEST = 1
"""Seconds until the wall clock is read again, because it can be set, and goes on while the machine is suspended."""
TOGETHER = 32
"""Expiries in one turn of the event loop. Thousands of pages can have a token with the same `exp`, and one expiry takes
about 100 us."""
LONGEST_STEP = 0.002
"""Seconds after which no further expiry begins in the turn. A listener with 80 tokens takes 2 ms, because all are verified."""
MOVES = 4
"""Entries that are moved for each one that comes or goes, while a heap is emptied of those that no longer count."""

_Entry = tuple[float, int, Listener]
"""Unix seconds, a number that no other entry has, and the listener whose right ends then."""


class TokenExpiry:
    """`later` is the reactor's callLater. `wall` is the wall clock in Unix seconds, which `exp` is compared with.

    The entries are in a heap. An entry that was replaced or discarded stays there until its time comes. A poller comes
    with the same token again and again, and a search for its old entry would cost more. When most entries no longer count,
    the heap becomes the old one, and its entries move to a new heap or are dropped, a few at each call. To go through 100,000
    entries in one step would take a tenth of a second. Meanwhile the next entry is the lower first one of both heaps.
    """

    def __init__(self, later: CallLater, wall: "Callable[[], float]") -> None:
        self.wall = wall
        self._later = later
        self._expected: dict[Listener, _Entry] = {}
        self._next: list[_Entry] = []
        self._old: list[_Entry] = []
        self._numbers = count()
        self._call: IDelayedCall | None = None
        self._expire: Callable[[Listener], None]

    def watch(self, expire: "Callable[[Listener], None]") -> None:
        """Call `expire` for each listener whose time has come."""
        self._expire = expire

    def __len__(self) -> int:
        return len(self._expected)

    def expect(self, listener: Listener, until: float) -> None:
        """Let the right of a listener end at `until` (Unix seconds; inf: never). Replaces the time that was expected before."""
        if until == inf:
            self.discard(listener)
            return
        entry = self._expected[listener] = until, next(self._numbers), listener
        heappush(self._next, entry)
        self._move_some()
        if self._soonest()[0] is entry:
            self._set()

    def discard(self, listener: Listener) -> None:
        """Forget a listener that is gone, or has no token any longer."""
        if self._expected.pop(listener, None) is not None:
            self._move_some()

    def _move_some(self) -> None:
        """Go on with moving the entries that count out of the old heap, or begin with that if most no longer count."""
        if self._old:
            for _ in range(min(MOVES, len(self._old))):
                entry = self._old.pop()  # without its last entry a heap is still a heap
                if self._expected.get(entry[2]) is entry:
                    heappush(self._next, entry)
        elif len(self._next) > 2 * len(self._expected) + 100:
            self._old, self._next = self._next, self._old

    def _soonest(self) -> list[_Entry]:
        """Return the heap with the next entry. It is empty only if both are."""
        if self._old and (not self._next or self._old[0] < self._next[0]):
            return self._old
        return self._next

    def _set(self) -> None:
        seconds = min(max(self._soonest()[0][0] - self.wall(), 0), LONGEST)
        if self._call is None:
            self._call = self._later(seconds, self._look)
        else:
            self._call.reset(seconds)

    def _look(self) -> None:
        self._call = None
        try:
            self._expire_some(self.wall(), time.perf_counter() + LONGEST_STEP)
        finally:  # a fault with one listener must not let the others keep their right
            if self._expected:
                self._set()
            else:
                self._next.clear()
                self._old.clear()

    def _expire_some(self, now: float, end: float) -> None:
        """Expire what is due, at most `TOGETHER`. The next look follows at once if there is more."""
        for _ in range(TOGETHER):
            heap = self._soonest()
            if not heap or heap[0][0] > now or time.perf_counter() > end:
                return
            entry = heappop(heap)
            _until, _number, listener = entry
            if self._expected.get(listener) is entry:
                del self._expected[listener]
                self._expire(listener)
