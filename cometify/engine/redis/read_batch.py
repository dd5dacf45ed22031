"""A read from Redis that several joins share."""

from collections.abc import Callable, Collection, Mapping

import attrs
from twisted.internet.defer import Deferred

from cometify.core.push import Push
from cometify.core.ring import RingBuffer

Rings = Mapping[str, RingBuffer]
Reach = Callable[[int], Mapping[str, int]]
"""See `IEngine.follow`."""
Since = tuple[int, int | None]
"""The positions from which on the public and the secret pushes of an identifier must be complete.

None: no secret pushes are needed, because none of the listeners who wait has a right to them.
"""

Follower = tuple[Reach, Collection[str], Deferred[Rings]]
"""A join that waits: what it asks for, the identifiers of which it may see secret pushes, and the Deferred of its rings."""

MOST_JOINS = 50
"""Joins that share one read. They take about 50 us each, unless they name much."""
MOST_IDENTIFIERS = 200
"""Identifiers of the joins that share one read, above which no further join shares it."""
LONGEST = 0.001
"""Seconds of CPU time after which no further join is served in this turn. One that names 100 identifiers in ten groups takes
1 ms before the read and 2 ms after it, and one that names one takes 50 us."""
MOST_READ = 8
"""Identifiers that one script reads. See also `reader.MOST_BYTES`."""


def since_heard(rings: Rings, last_heard: int, *, is_connected: bool) -> dict[str, Since]:
    """From `last_heard` on, or from the last push of each kind on: see `ReadBatch.passed_over`.

    `is_connected`: the connection that has told `last_heard` is still there.
    """
    if is_connected:
        return dict.fromkeys(rings, (last_heard, last_heard))
    return {
        name: (min(ring.public.newest, last_heard), min(ring.secret.newest, last_heard)) for name, ring in rings.items()
    }


@attrs.define(eq=False)
class ReadBatch:
    """A read from Redis that several listeners share, because they join at the same time.

    `number`: tells the watermarks of this batch from those of others. `since`: for each identifier the positions from
    which on it must be complete. `followers`: the joins that wait, each with the identifiers of which it may see secret
    pushes. `entries` and `floors`: the pushes that were read of each identifier (public, secret), and the floors. `left`:
    the parts that are still to be read. `position`: the position of the last part, which is the seam. `began`: after a lost
    session, the beginning of the memory as the seam tells it.
    """

    number: int
    since: dict[str, Since] = attrs.Factory(dict)
    followers: list[Follower] = attrs.Factory(list)
    entries: dict[str, tuple[list[Push], list[Push]]] = attrs.Factory(dict)
    floors: dict[str, tuple[int, int]] = attrs.Factory(dict)
    left: list[list[str]] = attrs.Factory(list)
    is_read: bool = False
    position: int = 0
    began: int = 0

    def passed_over(self, last_heard: int) -> bool:
        """After a lost session: True if a push was read that lies below what was heard, and that no ring has.

        So another Redis has told the watermark above it. What lies before the beginning of the memory is lost and told anyway.
        """
        read = (push for entries in self.entries.values() for kind in entries for push in kind)
        return any(self.began < push.position <= last_heard for push in read)

    def ask(self, now: int, cpu_seconds: Callable[[], float]) -> list[Follower]:
        """Ask the joins which identifiers they need, and from where on. `now`: about the position of the seam.

        Returns the joins that must wait for another batch, because the others need many identifiers or take long.
        """
        asked = identifiers = 0
        end = cpu_seconds() + LONGEST
        while asked < len(self.followers) and identifiers < MOST_IDENTIFIERS and (not asked or cpu_seconds() < end):
            reach, secret, _followed = self.followers[asked]
            needed = reach(now)
            for name, since in needed.items():
                self._reach_back(name, max(0, since), secret=name in secret)
            asked, identifiers = asked + 1, identifiers + len(needed)
        left = self.followers[asked:]
        del self.followers[asked:]
        return left

    def _reach_back(self, name: str, since: int, *, secret: bool) -> None:
        """Have an identifier read from `since` on, and its secret pushes too if `secret`."""
        public, private = self.since.get(name, (since, None))
        if secret:
            private = since if private is None else min(private, since)
        self.since[name] = min(public, since), private

    def let_some_join(self, rings: Rings, cpu_seconds: Callable[[], float]) -> bool:
        """Give joins their rings, at least one and until `LONGEST` has passed. Returns whether there is time for more."""
        followers, end = self.followers, cpu_seconds() + LONGEST
        while followers:
            reach, _secret, followed = followers.pop(0)
            followed.callback({name: rings[name] for name in reach(self.position)})
            if cpu_seconds() >= end:
                return False
        return True

    def split(self, names: list[str]) -> None:
        """Make parts of the identifiers to be read. There is at least one, because the last one's watermark is the seam."""
        self.left = [names[at : at + MOST_READ] for at in range(0, len(names), MOST_READ)] or [[]]
