"""The pace of joins: the most new listeners that a process lets in each second.

When a server comes back, all its listeners come within a second or two. Those above the pace are refused. They are told to
come back in different seconds, and each second gets at most as many as the pace allows. Otherwise they would all come back
together, and nearly all of them would be refused again.

One address gets a part of the pace in each second. Otherwise a stranger with a few hundred requests a second would keep the
listeners of all accounts away.
"""

from collections import Counter

from cometify.core import errors
from cometify.core.leaky_bucket import DROP, LeakyBucket
from cometify.core.quota import ClientKey

LATEST = 60.0
"""Seconds. Nobody is told to come back later than this. Above it the times begin again at the earliest."""
LEAST_SHARE = 30
"""Joins a second that one address has at least: as many as an account has listeners of an address by default."""
SHARES = 8
"""Addresses that share a larger pace."""


class JoinPace:
    """`per_second`: the most joins a second, and at once; None: there is no bound. Times are seconds of a steady clock."""

    def __init__(self, per_second: int | None) -> None:
        self.per_second = per_second
        self._bucket = LeakyBucket()
        # The time that the last refused listener was told.
        self._told = 0.0
        # The listeners of each address that have come in this second, and the second.
        self._came: Counter[ClientKey] = Counter()
        self._second = 0

    def take(self, now: float, client_key: ClientKey) -> None:
        """Let a new listener of an address in. Raises `Refused` (overloaded)."""
        if self.per_second is None:
            return
        if int(now) != self._second:
            self._second = int(now)
            self._came.clear()
        came = self._came[client_key] = self._came[client_key] + 1
        share = max(LEAST_SHARE, self.per_second // SHARES)
        if came > share:
            raise _refused("from this address ", min(int(LATEST), came // share))
        if self._bucket.wait(1, self.per_second, self.per_second, int(now * DROP)):
            raise _refused("", self.next_wait(now, self.per_second))
        self._bucket.put(1)

    def next_wait(self, now: float, per_second: float) -> int:
        """Return the seconds after which a refused listener comes back. As many get the same number as fit in a second."""
        if not now + 1 <= self._told <= now + LATEST:
            self._told = now + 1
        wait = int(self._told - now + 0.001)  # 1 and not 0 if adding and subtracting `now` has lost a little
        self._told += 1 / per_second
        return wait


def _refused(whence: str, wait: int) -> errors.Refused:
    return errors.Refused(
        errors.OVERLOADED,
        f"Too many listeners join {whence}at once: come back in {wait} s. (The operator can raise joins_per_second.)",
        retry=wait,
    )
