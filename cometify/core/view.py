"""All who are owed the same bytes: the same rings, the same right to secret pushes, the same form.

What they are owed is joined once for all who stand at the same cursor. The ring is the queue: a listener that is
behind has nothing but a lower cursor.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING

import attrs

from cometify.core.encodings import Encoding
from cometify.core.filter_index import FilterIndex
from cometify.core.frames import heartbeat_frame
from cometify.core.push import Push
from cometify.core.ring import Channel, RingBuffer

if TYPE_CHECKING:
    from cometify.core.listener import Listener

SPAN = 64 * 1024
"""The most bytes in one write, or one frame where that is more."""
SCAN = 1_000
"""The most pushes looked at for one write, so that a long replay of which little is wanted stays a slice."""
SPANS = 32
"""How many spans are remembered at once: stragglers stand at cursors of their own."""

Source = tuple[RingBuffer, bool]
"""A ring, and whether its secret pushes are seen."""
ViewKey = tuple[Encoding, tuple[tuple[Channel, bool], ...]]
"""What makes two listeners owed the same bytes."""


@attrs.define(eq=False)
class Span:
    """Bytes for one write that begins at some cursor.

    `cursor` is where it leads. `preamble`: so many bytes at its beginning are told once. `ends`: behind those, (offset,
    cursor) at the end of each push. `heartbeat`: the offset of the heartbeat at its end, if it has one, and `told` what
    that tells. `gap`: whether the greeting tells a gap.
    """

    data: bytes
    size: int
    cursor: int
    ends: Sequence[tuple[int, int]]
    preamble: int = 0
    heartbeat: int | None = None
    told: int = 0
    gap: bool = False

    def begun(self, sent: int) -> int:
        """How many of its pushes a write has begun that took `sent` bytes; `cut` has the rest of the last one kept."""
        sent -= self.preamble
        return min(bisect_left(self.ends, sent, key=itemgetter(0)) + 1, len(self.ends)) if sent > 0 else 0

    def cut(self, sent: int, cursor: int) -> tuple[int, bytes]:
        """Where a write stopped that began at `cursor` and took `sent` bytes, less than all.

        Returns the cursor and what must be kept for the listener: no more than the rest of the frame that was begun.
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


class View:
    """`live` are the listeners that nothing holds back, `filtered` those with a filter of their own.

    `head` is the position of the last push that the view may see. `watermark` gives the position for a heartbeat, which may
    be lower than that of a push that came since.
    """

    __slots__ = (
        "again",
        "at",
        "awake",
        "before",
        "encoding",
        "filtered",
        "head",
        "key",
        "latest",
        "live",
        "members",
        "next_since",
        "pass_members",
        "since",
        "sources",
        "spans",
        "watermark",
    )  # fmt: skip

    def __init__(self, key: ViewKey, sources: tuple[Source, ...], head: int, watermark: Callable[[], int]) -> None:
        self.key = key
        self.encoding = key[0]
        self.sources = sources
        self.head = head
        self.watermark = watermark
        self.members = 0
        self.live: dict[Listener, None] = {}
        self.filtered = FilterIndex()
        self.latest: Push | None = None
        self.before = head  # the head before the latest push
        self.spans: dict[int, Span | None] = {}
        # The sweep's own: who is visited in this round, from `at` on, whether there must be another, and the times from
        # which on the oldest push of this and of that one has waited.
        self.pass_members: list[Listener] = []
        self.at = 0
        self.again = False
        self.awake = False
        self.since = 0.0
        self.next_since = 0.0

    def advance(self, push: Push) -> list["Listener"]:
        """A push came that the view may see. Returns the live listeners that do not want it."""
        self.before, self.latest = self.head, push
        self.head = max(self.head, push.position)
        self.spans = {}
        if not self.filtered:
            return []
        live, kind = self.live, (push.identifier, push.secret)
        return [listener for listener in self.filtered.unwilling(kind, push.push_id) if listener in live]

    def lose(self, floor: int) -> None:
        """Raise the head to `floor`, because everything up to there may be lost.

        The live listeners are below the head then. The next pass finds the gap and tells it to each.
        """
        self.head = max(self.head, floor)
        self.spans = {}

    def span(self, cursor: int) -> Span | None:
        """What all at `cursor` are owed next; None if they must be told a gap first, which is each one's own affair."""
        if cursor in self.spans:
            return self.spans[cursor]
        span = None
        for ring, secret in self.sources:
            if ring.lost_since(secret) > cursor:
                break
        else:
            span = self._latest_alone(cursor) or self.join(cursor)
        if len(self.spans) >= SPANS:
            self.spans.clear()
        self.spans[cursor] = span
        return span

    def join(
        self, cursor: int, preamble: bytes = b"", wants: Callable[[Push], bool] | None = None, replaying: bool = False
    ) -> Span:
        """Frames to bytes, up to `SPAN`: the greeting, the pushes that are wanted, a heartbeat where one belongs."""
        encode = self.encoding.encode_push
        parts: list[bytes] = []
        size, ends = 0, []
        for scanned, push in enumerate(_pushes_after(self.sources, cursor), 1):
            if wants is None or wants(push):
                data = encode(push)
                if size and size + len(data) > SPAN:
                    break
                parts.append(data)
                size += len(data)
                ends.append((size, push.position))
            cursor = push.position
            if scanned >= SCAN:
                break
        else:
            cursor = max(cursor, self.head)
            return self._told(Span(b"".join(parts), size, cursor, ends), preamble, replaying)
        return Span(b"".join([preamble, *parts]), len(preamble) + size, cursor, ends, len(preamble))

    def _latest_alone(self, cursor: int) -> Span | None:
        """What `join` gives, if the latest push is all that is owed: 3 us less where one is pushed at a time."""
        push = self.latest
        if push is None or not self.before <= cursor < push.position == self.head:
            return None
        data = self.encoding.encode_push(push)
        size = len(data)
        return self._told(Span(data, size, self.head, ((size, self.head),)), b"", False)

    def replay(self, cursor: int, preamble: bytes, replaying: bool) -> Span:
        """As `join`, for a listener that wants all there is: what was joined for one serves the many that come back at
        once, from the same cursor or from another with the same pushes above it.
        """
        if cursor >= self.head:  # as most are who join: they want what is still to come
            return self._told(Span(b"", 0, cursor, ()), preamble, replaying)
        shared = self.span(self._before_next(cursor))
        if shared is None:  # what is missing there was told to this one
            return self.join(cursor, preamble, None, replaying)
        if shared.cursor < self.head:
            size = len(preamble)
            return Span(preamble + shared.data, size + shared.size, shared.cursor, shared.ends, size)
        return self._told(shared, preamble, replaying)

    def _before_next(self, cursor: int) -> int:
        """The highest cursor from which on the same is owed as from this one."""
        following = [push for ring, secret in self.sources for push in islice(_visible(ring, secret, cursor), 1)]
        return min([push.position for push in following], default=self.head + 1) - 1

    def _told(self, span: Span, preamble: bytes, replaying: bool) -> Span:
        """A span that leads to the head, with what comes before it, and the heartbeat behind it where one belongs."""
        size = len(preamble) + span.size
        if not (preamble or replaying or self.encoding.once):
            return span
        if span.heartbeat is not None:
            data, heartbeat = preamble + span.data, len(preamble) + span.heartbeat
            return Span(data, size, span.cursor, span.ends, len(preamble), heartbeat, span.told)
        if not (replaying or (self.encoding.once and size)):
            return Span(preamble + span.data, size, span.cursor, span.ends, len(preamble))
        position = max(self.watermark(), span.cursor)
        beat = self.encoding.encode(heartbeat_frame(position), position)
        data = b"".join([preamble, span.data, beat])
        return Span(data, len(data), span.cursor, span.ends, len(preamble), size, position)


def _pushes_after(sources: Iterable[Source], cursor: int) -> Iterator[Push]:
    """What is kept above `cursor` in the order of positions, over several rings, secret ones only where seen."""
    rings = [_visible(ring, secret, cursor) for ring, secret in sources]
    return rings[0] if len(rings) == 1 else merge(*rings, key=attrgetter("position"))


def _visible(ring: RingBuffer, secret: bool, cursor: int) -> Iterator[Push]:
    pushes = ring.after(cursor)
    return pushes if secret else (push for push in pushes if not push.secret)
