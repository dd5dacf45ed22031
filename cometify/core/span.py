"""A span: the bytes that one write carries to listeners that stand at the same cursor."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import itemgetter

import attrs

from cometify.core.filter_index import Kind

NOBODY: AbstractSet[str] = frozenset()


@attrs.define(eq=False)
class Span:
    """The bytes for one write that begins at some cursor.

        data   |  preamble  |  push  |  push  |  heartbeat  |
        size   0         preamble  ends[0] ends[1]         size       (the offsets in `ends` count from `preamble`)

    `cursor`: the position that the write leads to. `preamble`: the number of bytes that come before the pushes and belong to
    one listener alone. `ends`: (offset, position) at the end of each push. `heartbeat`: the offset of the heartbeat at the
    end, or None, and `told` the position in it. `gap`: True if the preamble has a gap frame. `lowest`: the lowest push_id
    among the pushes, for each kind of push that some listener of the view filters. Empty or None if all want all of them.
    `excluded`: the listener ids that some of the pushes exclude. `is_for_all`: False if one of the last two is not empty.
    """

    data: bytes
    size: int
    cursor: int
    ends: Sequence[tuple[int, int]]
    preamble: int = 0
    heartbeat: int | None = None
    told: int = 0
    gap: bool = False
    lowest: Mapping[Kind, int] | None = None
    excluded: AbstractSet[str] = NOBODY
    is_for_all: bool = True

    def begun(self, sent: int) -> int:
        """Count the pushes that a write of `sent` bytes has begun. `cut` tells the rest of the last one."""
        sent -= self.preamble
        return min(bisect_left(self.ends, sent, key=itemgetter(0)) + 1, len(self.ends)) if sent > 0 else 0

    def bytes_of(self, pushes: int) -> int:
        """Return the bytes of the first so many pushes."""
        return self.ends[pushes - 1][0] if pushes else 0

    def cut(self, sent: int, cursor: int) -> tuple[int, bytes]:
        """Find where a write stopped that began at `cursor` and took `sent` bytes, less than all.

        Returns the new cursor, and the bytes that must be held for the listener: the rest of the frame that was begun.
        """
        if sent < self.preamble:
            return cursor, self.data[sent : self.preamble]
        begun = self.preamble
        for offset, position in self.ends:
            end = self.preamble + offset
            if end > sent:
                return (position, self.data[sent:end]) if sent > begun else (cursor, b"")
            begun, cursor = end, position
        return cursor, self.data[sent:] if sent > begun else b""
