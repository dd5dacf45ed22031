"""The pushes of one identifier that one group lets through."""

from collections.abc import Iterable, Mapping
from operator import attrgetter

import attrs

from cometify.core.position import REPLAY_WINDOW, RETENTION
from cometify.core.push import Push


@attrs.frozen
class GroupFilter:
    """What one group lets through of one identifier.

    `secret`: secret pushes too. `above`: only push_ids higher than this. `since`: only positions higher than this.
    `unnumbered_since`: pushes without a push_id only above this position.
    """

    secret: bool
    above: int = -1
    since: int = 0
    unnumbered_since: int = 0

    def __call__(self, push: Push) -> bool:
        """Whether the group gets the push: it may, and it wants it."""
        if push.position <= self.since or (push.secret and not self.secret):
            return False
        if push.push_id is None:
            return push.position > self.unnumbered_since
        return push.push_id > self.above

    def lets_all(self, secret: bool, cursor: int) -> bool:
        """Whether it lets through all public pushes (`secret`: and all secret ones) above `cursor`."""
        return self.above < 0 and self.secret == secret and self.since <= cursor and self.unnumbered_since <= cursor

    @property
    def settled(self) -> "GroupFilter":
        """What remains at the head, which is above every position that was ever told."""
        return GroupFilter(self.secret, self.above)

    def going_on(self, right: bool, cursor: int) -> "GroupFilter":
        """The same for one that is joined already, with the right that it has now: nothing up to `cursor` again."""
        return GroupFilter(right, self.above, max(self.since, cursor), max(self.unnumbered_since, cursor))


def filter_on_joining(internal_id: int | None, position: int | None, right: bool, now: int) -> GroupFilter:
    """The first cursor (`since`) and the filter of the table in the contract's section 3, `now` a position."""
    if position is not None:
        return GroupFilter(right, internal_id or -1, position, position)
    if internal_id is None:
        return GroupFilter(right, -1, now, now)
    if internal_id == 0:
        return GroupFilter(right, -1, now - RETENTION, now - RETENTION)
    return GroupFilter(right, internal_id, now - REPLAY_WINDOW, now)


Filters = Mapping[str, tuple[GroupFilter, ...]]
"""For each identifier (lower case) what the groups that hold it let through: one is enough."""

_IS_SECRET = attrgetter("secret")


def sees_secret(wants: Iterable[GroupFilter]) -> bool:
    """Whether one of the groups lets secret pushes through."""
    return any(map(_IS_SECRET, wants))
