"""An index of the listeners of a view by the internal ids that they filter by.

A listener that joined with an internal id of 7 gets only pushes with a push_id above 7. Such a listener must not cost
anything when a push is above its internal id, which is nearly always. So the index finds the listeners that do *not*
want a push without looking at the others:

    thresholds of "chat", public       buckets
    3                                  {A, B}
    7                                  {C}
    9223372036854775807                {D}          one page can do this, by mistake or on purpose

A push with push_id 8 is unwanted by the buckets at 8 and above: D alone. A bisection finds the first of them. No bucket
is ever empty, so the cost is that of the unwilling listeners, however many there are in all.

A listener can hold an identifier in several groups, and one group that lets a push through is enough. Its threshold is
therefore the *lowest* internal id over its groups. Only a group with the right to secret pushes counts for a secret
push, so public and secret pushes have a threshold each. A threshold below zero keeps no push out and is not stored.

The positions in the filters play no part: a push that is announced is above each of them.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cometify.core.group_filter import Filters

if TYPE_CHECKING:
    from cometify.core.listener import Listener

Kind = tuple[str, bool]
"""An identifier (lower case), and whether the pushes are secret ones."""


class _Buckets:
    """The thresholds of one kind of push, sorted, and the listeners at each."""

    __slots__ = ("at", "thresholds")

    def __init__(self) -> None:
        self.thresholds: list[int] = []
        self.at: dict[int, dict[Listener, None]] = {}

    def add(self, threshold: int, listener: "Listener") -> None:
        bucket = self.at.get(threshold)
        if bucket is None:
            insort(self.thresholds, threshold)
            bucket = self.at[threshold] = {}
        bucket[listener] = None

    def discard(self, threshold: int, listener: "Listener") -> None:
        bucket = self.at[threshold]
        bucket.pop(listener, None)
        if not bucket:
            del self.at[threshold]
            del self.thresholds[bisect_left(self.thresholds, threshold)]

    def not_below(self, push_id: int) -> Iterator["dict[Listener, None]"]:
        """Yield the buckets whose threshold is `push_id` or above."""
        for index in range(bisect_left(self.thresholds, push_id), len(self.thresholds)):
            yield self.at[self.thresholds[index]]


class FilterIndex:
    """The listeners of one view that filter by an internal id. `len()` counts them."""

    __slots__ = ("_by_kind", "_count")

    def __init__(self) -> None:
        self._by_kind: dict[Kind, _Buckets] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, listener: "Listener", filters: Filters) -> None:
        """Enter a listener. Stores nothing if none of its filters keeps a push out."""
        entries = list(_thresholds(filters))
        self._count += bool(entries)
        for kind, threshold in entries:
            self._by_kind.setdefault(kind, _Buckets()).add(threshold, listener)

    def discard(self, listener: "Listener", filters: Filters) -> None:
        """Remove a listener that was entered with these filters, or with the same after they were settled."""
        entries = list(_thresholds(filters))
        self._count -= bool(entries)
        for kind, threshold in entries:
            buckets = self._by_kind[kind]
            buckets.discard(threshold, listener)
            if not buckets.thresholds:
                del self._by_kind[kind]

    def unwilling(self, kind: Kind, push_id: int | None) -> list["Listener"]:
        """List the listeners that do not want a push. A push without a push_id is wanted by all."""
        buckets = self._by_kind.get(kind)
        if buckets is None or push_id is None:
            return []
        return [listener for bucket in buckets.not_below(push_id) for listener in bucket]

    def count_unwilling(self, kind: Kind, push_id: int | None) -> int:
        """Count the listeners that do not want a push."""
        buckets = self._by_kind.get(kind)
        if buckets is None or push_id is None:
            return 0
        return sum(map(len, buckets.not_below(push_id)))


def _thresholds(filters: Filters) -> Iterator[tuple[Kind, int]]:
    """Yield the kinds of pushes that the filters keep out in part, each with its threshold."""
    for name, groups in filters.items():
        lowest = min([group.above for group in groups])
        if lowest >= 0:
            yield (name, False), lowest
        # A view whose listeners see no secret pushes of the identifier never asks for the threshold of those.
        lowest = min([group.above for group in groups if group.secret], default=-1)
        if lowest >= 0:
            yield (name, True), lowest
