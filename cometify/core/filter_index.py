"""An index of the listeners of a view by the internal ids that they filter by.

A listener that joined with an internal id of 7 gets only pushes with a push_id above 7. Such a listener must not cost
anything when a push is above its internal id, which is nearly always. So the index answers two questions about a push
without looking at any listener: whether somebody does not want it, and how many.

    listeners of "chat", public        A    B    C    D
    threshold                          3    3    7    9223372036854775807
    sorted thresholds                  3    3    7    9223372036854775807

A push with push_id 8 is unwanted by the thresholds from 8 on: by D alone. A bisection finds the first of them, so the
number costs the same for any number of listeners. One page can have the highest threshold of all, by mistake or on
purpose. Then some listener does not want any push, and the fan-out asks the index about each chunk of listeners before it
writes to them (`unwilling`). That is a look into a dictionary for each.

A listener can hold an identifier in several groups, and one group that lets a push through is enough. Its threshold is
therefore the *lowest* internal id over its groups. Only a group with the right to secret pushes counts for a secret
push, so public and secret pushes have a threshold each. A threshold below zero keeps no push out and is not stored.

The positions in the filters play no part: a push that is announced is above each of them.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from cometify.core.group_filter import Filters

if TYPE_CHECKING:
    from cometify.core.listener import Listener

Kind = tuple[str, bool]
"""An identifier (lower case), and whether the pushes are secret ones."""


class _Thresholds:
    """The thresholds of one kind of push: sorted, and by listener."""

    __slots__ = ("of", "ordered")

    def __init__(self) -> None:
        self.ordered: list[int] = []
        self.of: dict[Listener, int] = {}

    def add(self, threshold: int, listener: "Listener") -> None:
        insort(self.ordered, threshold)
        self.of[listener] = threshold

    def discard(self, listener: "Listener") -> None:
        # The last one of its value, because many listeners have the same one, and nothing must be moved behind the last.
        del self.ordered[bisect_right(self.ordered, self.of.pop(listener)) - 1]


class FilterIndex:
    """The listeners of one view that filter by an internal id. `count`: their number."""

    __slots__ = ("_by_kind", "count")

    def __init__(self) -> None:
        self._by_kind: dict[Kind, _Thresholds] = {}
        self.count = 0

    def add(self, listener: "Listener", filters: Filters) -> None:
        """Enter a listener. Stores nothing if none of its filters keeps a push out."""
        entries = list(_thresholds(filters))
        self.count += bool(entries)
        for kind, threshold in entries:
            self._by_kind.setdefault(kind, _Thresholds()).add(threshold, listener)

    def discard(self, listener: "Listener", filters: Filters) -> None:
        """Remove a listener that was entered with these filters, or with the same after they were settled."""
        entries = list(_thresholds(filters))
        self.count -= bool(entries)
        for kind, _threshold in entries:
            thresholds = self._by_kind[kind]
            thresholds.discard(listener)
            if not thresholds.ordered:
                del self._by_kind[kind]

    def count_unwilling(self, kind: Kind, push_id: int | None) -> int:
        """Count the listeners that do not want a push. A push without a push_id is wanted by all."""
        thresholds = self._by_kind.get(kind)
        if thresholds is None or push_id is None:
            return 0
        return len(thresholds.ordered) - bisect_left(thresholds.ordered, push_id)

    def unwilling(self, lowest: Mapping[Kind, int], among: Iterable["Listener"]) -> list["Listener"]:
        """List the listeners among some that do not want a push. One can be in the list for several kinds of pushes.

        `lowest`: for each kind of push the lowest push_id of the pushes that are asked about.
        """
        found: list[Listener] = []
        for kind, push_id in lowest.items():
            thresholds = self._by_kind.get(kind)
            if thresholds is not None:
                threshold_of = thresholds.of.get
                found += [listener for listener in among if threshold_of(listener, -1) >= push_id]
        return found


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
