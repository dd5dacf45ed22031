"""A leaky bucket: it bounds how many things are let through, at once and for each second.

Each thing puts a drop into the bucket, and the bucket leaks `rate` drops a second. A thing for which the bucket has no room
is refused and puts nothing into it. So at most `burst` + `rate` x seconds things are let through within any time, and no
thing is refused while there is room.

The level is counted in millionths of a drop, because a leak of `rate` drops a second is a leak of `rate` millionths a
microsecond. So all numbers are whole and nothing is lost by rounding. With Redis the same is done in `lua/append.lua`.

(It is the same as a token bucket, seen from its other side. "Token" has another meaning in this project.)
"""

import attrs

DROP = 1_000_000
"""The level of one drop."""


@attrs.define(eq=False)
class LeakyBucket:
    """`level`: the drops in the bucket at the time `at`, in millionths. `rate`: the leak at the last call, in drops a second.

    Every time is in microseconds. If the clock goes back, the bucket leaks from the earlier time on.
    """

    level: int = 0
    at: int = 0
    rate: int = 1

    def wait(self, count: int, rate: int, burst: int, now: int) -> int:
        """Return the microseconds after which the bucket has room for `count` drops, 0 if it has room now.

        `count`: at most `burst`, because more never fit.
        """
        self.level = max(0, self.level - max(0, now - self.at) * rate)
        self.at, self.rate = now, rate
        too_high = self.level + (count - burst) * DROP
        return 0 if too_high <= 0 else -(-too_high // rate)

    def put(self, count: int) -> None:
        """Put `count` drops into the bucket. `wait` has just returned 0 for as many."""
        self.level += count * DROP

    def is_empty(self, now: int) -> bool:
        """Return whether nothing is left in the bucket, so that a new one would do the same."""
        return self.level <= (now - self.at) * self.rate
