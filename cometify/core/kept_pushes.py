"""The kept pushes of one channel and one kind, public or secret, in the order of their positions.

Pushes come in at the end and are dropped from the front. Three questions are asked whenever a listener joins, about up to
100 channels at once, so none of them may look at every push:

- Which pushes are above a cursor? The positions are sorted, so `after` finds the first one by bisection.
- How many bytes are they? See `bytes_after`.
- What is the highest push_id in a span of positions? See `highest_push_id`.

The last two are answered from blocks. Every 64 pushes that were appended make a block, and its summary is written down
when its last push comes. A span is some whole blocks and at most 126 pushes at its two ends, and only those pushes are
looked at one by one.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from cometify.core.push import Push
from cometify.core.ring_block import BLOCK, Block, summarise

DROPS = 100
"""The most pushes that are dropped because of one small push. A larger one may displace more: see `most_drops`."""
SMALLEST_FRAME = 64
"""No frame of a push has fewer bytes than this."""


def most_drops(push: Push) -> int:
    """The most pushes that may be dropped in the step that keeps `push`.

    Bounds can be crossed by any number of pushes at once: a burst grows old, or an operator lowers a limit. Dropping them
    all in one step would hold up everything else, so each step drops some of them. The number is more than one, so that
    the rest shrinks with every push. It grows with the size of the push, so that the kept bytes do not grow.
    """
    return DROPS + len(push.frame) // SMALLEST_FRAME


class Dropped(NamedTuple):
    """A summary of the pushes that were dropped. It tells whether a filter has lost one of them."""

    floor: int
    """The position of the last one, or the position where the memory begins."""
    push_id: int = -1
    """The highest push_id, or -1."""
    unnumbered: int = 0
    """The position of the last one that has no push_id, or 0."""


_NO_POSITIONS: list[int] = []
_NO_PUSHES: list[Push] = []
_NO_BLOCKS: list[Block] = []
"""Lists that stay empty. Kept pushes begin with them, because most channels have no secret push and few have 64 pushes.
Three lists of their own would take 170 bytes for each channel."""

_GONE = Push("", None, False, 0, b"")
"""Stands in the place of a push that was dropped until the list is cut, so that the push itself is freed at once."""


class KeptPushes:
    """The pushes kept of one kind, and how far back they go.

    `floor`: the position of the last push that was dropped, or the position where the memory begins.

    `since`: every push above this position is here, unless it was dropped. Older pushes may be kept elsewhere (in Redis),
    and can be prepended.

    `began`: every drop above this position was observed here; what was dropped at or below it is unknown. Defaults to the
    floor.

    `excluding`: the position of the last push that excludes a listener, also if it was dropped since, or 0.

    `queued` belongs to `Retention`.
    """

    __slots__ = (
        "_blocks", "_positions", "_pushes", "_start", "began", "dropped_push_id", "dropped_unnumbered", "excluding", "floor",
        "kept_bytes", "queued", "since",
    )  # fmt: skip

    def __init__(self, dropped: Dropped, since: int = 0, began: int | None = None) -> None:
        self.floor, self.dropped_push_id, self.dropped_unnumbered = dropped
        self.since = since
        self.began = self.floor if began is None else began
        self.queued = -1
        self.excluding = 0
        self.kept_bytes = 0
        # The lists begin with pushes that were dropped already, up to `_start`. Cutting them at each drop would cost
        # their length each time. They are cut by whole blocks, so that block n is always the pushes from n * BLOCK on.
        self._positions = _NO_POSITIONS
        self._pushes = _NO_PUSHES
        self._blocks = _NO_BLOCKS
        self._start = 0

    def __len__(self) -> int:
        return len(self._pushes) - self._start

    def append(self, push: Push, most_pushes: int, most_bytes: int) -> int:
        """Keep a push, which must be above all others, and drop the oldest pushes beyond the bounds.

        At most `most_drops(push)` pushes are dropped; the next appends go on. Returns by how many bytes they have grown
        (negative: shrunk).
        """
        before = self.kept_bytes
        pushes = self._pushes
        if not pushes:
            self._positions, self._pushes = [], (pushes := [])
        self._positions.append(push.position)
        pushes.append(push)
        self.kept_bytes += len(push.frame)
        if push.excluded is not None:
            self.excluding = push.position
        count = len(pushes)
        if not count % BLOCK:
            if not self._blocks:
                self._blocks = []
            self._blocks.append(summarise(pushes[-BLOCK:]))
        if count - self._start > most_pushes or self.kept_bytes > most_bytes:
            self.drop_oldest()
            # A full ring drops one push for each that comes. Only the rare case that one is not enough pays for a loop.
            if len(pushes) - self._start > most_pushes or self.kept_bytes > most_bytes:
                self._drop_beyond(most_pushes, most_bytes, most_drops(push) - 1)
        return self.kept_bytes - before

    def _drop_beyond(self, most_pushes: int, most_bytes: int, most: int) -> None:
        while most > 0 and (len(self) > most_pushes or self.kept_bytes > most_bytes):
            self.drop_oldest()
            most -= 1

    def drop_through(self, position: int, most: int) -> int:
        """Drop the pushes up to and with `position`, oldest first, and at most `most`. Returns how many were dropped."""
        end = min(bisect_right(self._positions, position, self._start), self._start + most)
        count = end - self._start
        for _ in range(count):
            self.drop_oldest()
        return count

    def drop_oldest(self) -> int:
        """Drop the oldest push, which raises the floor. Returns how many bytes that freed."""
        start = self._start
        push = self._pushes[start]
        self._pushes[start] = _GONE
        self._start = start = start + 1
        self.kept_bytes -= len(push.frame)
        push_id = push.push_id
        self.floor = max(self.floor, push.position)
        if push_id is None:
            self.dropped_unnumbered = max(self.dropped_unnumbered, push.position)
        elif push_id > self.dropped_push_id:
            self.dropped_push_id = push_id
        if start > BLOCK and start * 2 > len(self._pushes):
            self._cut()
        return len(push.frame)

    def _cut(self) -> None:
        """Cut the dropped pushes off the lists, by whole blocks."""
        blocks = self._start // BLOCK
        cut = blocks * BLOCK
        del self._positions[:cut], self._pushes[:cut], self._blocks[:blocks]
        self._start -= cut

    def prepend(self, older: Sequence[Push], since: int, floor: int) -> int:
        """Put older pushes before all others. They are kept elsewhere, and lie between `since` and the first position here.

        `floor`: the floor of that other store. It may have dropped more than this one, but pushes that are here are not
        lost. Returns the bytes of the pushes that were added. The time grows with the number of pushes.
        """
        floor = min(floor, self.since)
        self.floor = max(self.floor, floor)
        self.began = max(self.began, floor)
        self.since = min(self.since, since)
        if not older:
            return 0  # empty lists are shared, and new ones would cost each quiet identifier 340 bytes
        self.excluding = max([self.excluding, *[push.position for push in older if push.excluded is not None]])
        self._pushes = [*older, *self._pushes[self._start :]]
        self._positions = [push.position for push in self._pushes]
        self._start = 0
        ends = range(BLOCK, len(self._pushes) + 1, BLOCK)
        self._blocks = [summarise(self._pushes[end - BLOCK : end]) for end in ends]
        grown = sum([len(push.frame) for push in older])
        self.kept_bytes += grown
        return grown

    @property
    def dropped(self) -> Dropped:
        """A summary of the pushes that were dropped, for later `KeptPushes` of the same channel to begin with."""
        return Dropped(self.floor, self.dropped_push_id, self.dropped_unnumbered)

    def lose(self, began: int) -> None:
        """Declare that every push up to `began` may be lost, because the memory elsewhere begins there again."""
        self.began = max(self.began, began)
        self.floor = max(self.floor, began)

    @property
    def oldest(self) -> int | None:
        """The position of the oldest push kept."""
        return self._positions[self._start] if len(self) else None

    @property
    def newest(self) -> int:
        """The position of the last push, also if it was dropped since. Never below the floor, nor below `since`."""
        last = self._positions[-1] if self._positions else 0
        return max(last, self.since, self.floor)

    def has_above(self, cursor: int) -> bool:
        """Return True if a kept push is above `cursor`."""
        positions = self._positions
        return len(positions) > self._start and positions[-1] > cursor

    def after(self, cursor: int) -> Iterator[Push]:
        """The pushes kept above `cursor`, oldest first. Take them before others come or go."""
        pushes = self._pushes
        for index in range(bisect_right(self._positions, cursor, self._start), len(pushes)):
            yield pushes[index]

    def latest(self) -> Iterator[Push]:
        """The pushes kept, newest first. Take them before others come or go."""
        return islice(reversed(self._pushes), len(self))

    def bytes_after(self, cursor: int) -> int:
        """The bytes of the frames above `cursor`: the most that a listener there would be sent."""
        first = bisect_right(self._positions, cursor, self._start)
        end = len(self._pushes)
        if first == end:
            return 0
        if first == self._start:
            return self.kept_bytes
        pushes, blocks = self._span(first, end)
        return sum([len(push.frame) for push in pushes]) + sum([block.size for block in blocks])

    def count_after(self, cursor: int) -> int:
        """The number of the pushes kept above `cursor`."""
        return len(self._pushes) - bisect_right(self._positions, cursor, self._start)

    def highest_push_id(self, after: int, through: int) -> int:
        """The highest push_id that is kept above `after` and up to and with `through`, or -1."""
        first = bisect_right(self._positions, after, self._start)
        end = bisect_right(self._positions, through, first)
        if first == end:
            return -1
        pushes, blocks = self._span(first, end)
        push_ids = [push.push_id for push in pushes if push.push_id is not None]
        push_ids += [block.push_id for block in blocks]
        return max(push_ids, default=-1)

    def _span(self, first: int, end: int) -> tuple[list[Push], list[Block]]:
        """The pushes from index `first` to before `end`: those in no whole block, and the whole blocks."""
        first_block, end_block = -(-first // BLOCK), end // BLOCK
        if first_block >= end_block:
            return self._pushes[first:end], []
        loose = self._pushes[first : first_block * BLOCK] + self._pushes[end_block * BLOCK : end]
        return loose, self._blocks[first_block:end_block]


class NothingKept(KeptPushes):
    """Kept pushes of a channel that never had any. All such channels of an account share one.

    It never changes: see `RingBuffer.own`.
    """

    __slots__ = ()
