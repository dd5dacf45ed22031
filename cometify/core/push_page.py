"""The kept pushes of one identifier, page by page, for a back end.

A page begins above a position, and the next one above the last push of the page. Positions grow, so pushes that come
meanwhile are on a later page, and none is on two.
"""

from collections.abc import Iterable

import attrs

from cometify.core.frames import listed_frame
from cometify.core.position import FLOOR_RETENTION, RETENTION
from cometify.core.push import Push

MOST_BYTES = 2**20
"""Bytes of the frames of one page, unless its first push alone has more."""


@attrs.frozen
class AskedPushes:
    """The pushes that a page may have: those above the position `after`, at most `limit` of them.

    `after` is None if it was not sent. Then the page begins where a push must still be kept: ten minutes ago.
    """

    after: int | None
    limit: int

    def since(self, now: int) -> int:
        """The position above which the page begins. `now`: the position of the account."""
        return max(0, now - RETENTION) if self.after is None else self.after


@attrs.frozen
class PushPage:
    """A page. `gap`: pushes that belong on it may be lost. `next`: the position after which the next page begins, or None."""

    frames: tuple[bytes, ...]
    gap: bool
    next: int | None = None


def has_gap(since: int, now: int, floor: int) -> bool:
    """True if pushes above `since` may be lost. `floor`: the position of the last one that was dropped, as far as is known.

    Floors are forgotten after a day. A position above `now` comes from a memory that is gone.
    """
    return since < floor or since < now - FLOOR_RETENTION or since > now


def page_of(pushes: Iterable[Push], limit: int, gap: bool, more: bool = False) -> PushPage:
    """Make a page of the first pushes. `pushes`: oldest first. `more`: there are others after them."""
    frames: list[bytes] = []
    size, last = 0, None
    for push in pushes:
        frame = listed_frame(push)
        size += len(frame)
        if frames and (len(frames) == limit or size > MOST_BYTES):
            return PushPage(tuple(frames), gap, last)
        frames.append(frame)
        last = push.position
    return PushPage(tuple(frames), gap, last if more else None)
