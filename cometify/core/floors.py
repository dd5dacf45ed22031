"""The floors of channels that have no ring, for one account and one kind of push.

A ring is forgotten when its last push is dropped. Its summary of drops (`Dropped`) is kept for a day, so that a listener
that comes back to the channel is told of a loss. An account can push to a new identifier each time, and would leave
millions of summaries in a day. So only the latest are kept apart. All others are one summary, which holds for every channel
without a summary of its own: it may tell of a loss that a channel has not had, but never hides one.

Public and secret floors are kept apart, each kind with its own bound. A channel whose secret pushes were dropped must not
change the gaps of a listener that may not see them.
"""

from collections import OrderedDict
from operator import le

from cometify.core.kept_pushes import Dropped

MOST_FLOORS = 100_000
"""Channels whose summary is kept apart, 40 MB of them."""


class Floors:
    """`began`: the position where the memory begins. `most`: the channels whose summary is kept apart."""

    def __init__(self, began: int, most: int = MOST_FLOORS) -> None:
        self._most = most
        # The longest without a ring comes first.
        self._apart: OrderedDict[str, Dropped] = OrderedDict()
        self._others = Dropped(began)
        self._told: Dropped | None = None  # the same, once it tells anything

    def __len__(self) -> int:
        return len(self._apart)

    def take(self, identifier: str) -> Dropped | None:
        """Return the summary that a new ring of this identifier begins with. It is the ring's from now on.

        None: nothing was dropped since the memory has begun.
        """
        return self._apart.pop(identifier, self._told)

    def floor_of(self, identifier: str) -> int:
        """Return the floor of a channel that has no ring."""
        return self._apart.get(identifier, self._others).floor

    def put(self, identifier: str, dropped: Dropped) -> None:
        """Keep the summary of a ring that is forgotten, if it tells more than that of all others."""
        if all(map(le, dropped, self._others)):
            return
        self._apart[identifier] = dropped
        if len(self._apart) > self._most:
            _identifier, oldest = self._apart.popitem(last=False)
            self._others = self._told = Dropped(*map(max, self._others, oldest))

    def expire(self, oldest: int, most: int) -> int:
        """Forget summaries whose floor is not above `oldest`, at most `most` of them. Returns how many were forgotten."""
        count = 0
        while count < most and self._apart and next(iter(self._apart.values())).floor <= oldest:
            self._apart.popitem(last=False)
            count += 1
        return count

    def is_empty(self, oldest: int, began: int) -> bool:
        """Return True if nothing above `oldest` is remembered since the memory has begun at `began`."""
        return not self._apart and self._others.floor <= max(oldest, began)
