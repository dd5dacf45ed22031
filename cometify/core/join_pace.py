"""The pace of joins: the most new listeners that a process lets in each second.

When a server comes back, all its listeners come within a second or two. Those above the pace are refused. They are told to
come back in different seconds, and each second gets at most as many as the pace allows. Otherwise they would all come back
together, and nearly all of them would be refused again.
"""

from cometify.core import errors
from cometify.core.leaky_bucket import DROP, LeakyBucket

LATEST = 60.0
"""Seconds. Nobody is told to come back later than this. Above it the times begin again at the earliest."""


class JoinPace:
    """`per_second`: the most joins a second, and at once; None: there is no bound. Times are seconds of a steady clock."""

    def __init__(self, per_second: int | None) -> None:
        self.per_second = per_second
        self._bucket = LeakyBucket()
        # The time that the last refused listener was told.
        self._told = 0.0

    def take(self, now: float) -> None:
        """Let a new listener in. Raises `Refused` (overloaded)."""
        if self.per_second is None:
            return
        if self._bucket.wait(1, self.per_second, self.per_second, int(now * DROP)):
            wait = self.next_wait(now, self.per_second)
            raise errors.Refused(
                errors.OVERLOADED,
                f"Too many listeners join at once: come back in {wait} s. (The operator can raise joins_per_second.)",
                retry=wait,
            )
        self._bucket.put(1)

    def next_wait(self, now: float, per_second: float) -> int:
        """Return the seconds after which a refused listener comes back. As many get the same number as fit in a second."""
        if not now + 1 <= self._told <= now + LATEST:
            self._told = now + 1
        wait = int(self._told - now + 0.001)  # 1 and not 0 if adding and subtracting `now` has lost a little
        self._told += 1 / per_second
        return wait
