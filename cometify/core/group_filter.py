"""Filters: the pushes of one identifier that one group lets through.

The filter of a group depends on how it has joined (the contract, section 3):

    joined                 `since`          `above`   `unnumbered_since`
    plain                  now              -1        now
    with internal id N     3 minutes ago    N         now
    with internal id 0     10 minutes ago   -1        10 minutes ago
    resumed at position P  P                N or -1   P

`above` stays at the head, so that a late push with a push_id above N still arrives. The other two no longer matter there,
because every later push is above them.
"""

from collections.abc import Collection, Iterable, Mapping
from operator import attrgetter

import attrs

from cometify.core.position import REPLAY_WINDOW, RETENTION
from cometify.core.push import Push


# Not frozen, because making a frozen instance takes twice as long, and one join can make 1,000. Nobody changes one.
@attrs.define(unsafe_hash=True)
class GroupFilter:
    """A predicate on pushes of one identifier."""

    secret: bool
    """True if secret pushes pass too."""
    above: int = -1
    """Only push_ids above this pass."""
    since: int = 0
    """Only positions above this pass."""
    unnumbered_since: int = 0
    """Pushes without a push_id pass only above this position, which is not below `since`."""

    def __call__(self, push: Push) -> bool:
        """Return whether the group gets the push: whether it may see the push, and wants it."""
        if push.position <= self.since or (push.secret and not self.secret):
            return False
        if push.push_id is None:
            return push.position > self.unnumbered_since
        return push.push_id > self.above

    def lets_all(self, secret: bool, cursor: int) -> bool:
        """Return whether all public pushes above `cursor` pass, and (`secret`) all secret ones."""
        return self.above < 0 and self.secret == secret and self.since <= cursor and self.unnumbered_since <= cursor

    def going_on(self, right: bool, cursor: int) -> "GroupFilter":
        """The same filter for a listener that goes on from `cursor`, with the right that it has now."""
        return GroupFilter(right, self.above, max(self.since, cursor), max(self.unnumbered_since, cursor))


def filter_on_joining(internal_id: int | None, position: int | None, right: bool, now: int) -> GroupFilter:
    """Make the filter of a group that joins, by the table above. `now`: the engine's position."""
    if position is not None:
        return GroupFilter(right, internal_id or -1, position, position)
    if internal_id is None:
        return GroupFilter(right, -1, now, now)
    if internal_id == 0:
        return GroupFilter(right, -1, now - RETENTION, now - RETENTION)
    return GroupFilter(right, internal_id, now - REPLAY_WINDOW, now)


Filters = Mapping[str, tuple[GroupFilter, ...]]
"""For each identifier (lower case) the filters of the groups that hold it. A push is sent if it passes one of them."""

_IS_SECRET, _ABOVE = attrgetter("secret"), attrgetter("above")


def settled(filters: Collection[GroupFilter]) -> tuple[GroupFilter, ...]:
    """The filters of one identifier for a listener at the head: as few as possible, at most one for each right.

    Every later push is above their positions, so the positions no longer matter. Of the filters with the same right, the
    one with the lowest internal id lets through everything that the others do. A listener can have hundreds of them.
    """
    lowest = min(map(_ABOVE, filters))
    with_right = min([one.above for one in filters if one.secret], default=None)
    if with_right is None:
        return (GroupFilter(False, lowest),)
    if with_right == lowest:
        return (GroupFilter(True, lowest),)
    return GroupFilter(True, with_right), GroupFilter(False, lowest)


def filters_at_head(filters: Filters, seen: Mapping[str, bool]) -> Filters | None:
    """The filters of a listener at the head, without their positions. None if they keep nothing out.

    `seen`: for each identifier whether the listener's view has its secret pushes. The index of a view has no entry of a
    listener that wants everything.
    """
    at_head = {name: settled(groups) for name, groups in filters.items()}
    wants_all = all(
        any(one.above < 0 and one.secret == seen[name] for one in groups) for name, groups in at_head.items()
    )
    return None if wants_all else at_head


def sees_secret(filters: Iterable[GroupFilter]) -> bool:
    """Return whether secret pushes pass one of the filters."""
    return any(map(_IS_SECRET, filters))
