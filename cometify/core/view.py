"""All who are owed the same bytes: the same rings, the same right to secret pushes, the same form.

What they are owed is joined once for all who stand at the same cursor. The ring is the queue: a listener that is
behind has nothing but a lower cursor.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING

import attrs

from cometify.core.frames import Form, heartbeat_frame
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
Key = tuple[Form, tuple[tuple[Channel, bool], ...]]
"""What makes two listeners owed the same bytes."""


@attrs.define(eq=False)
class Span:
    """Bytes for one write that begins at some cursor.

    `cursor` is where it leads. `ends`: (offset, cursor) at the end of each frame. `pushes`: how many those are, without the
    greeting and the heartbeat. `greeting`: so many bytes at its
    beginning are told once. `heartbeat`: the offset of the heartbeat at its end, if it has one. `gap`: whether the
    greeting tells a gap.
    """

    data: bytes
    size: int
    cursor: int
    ends: Sequence[tuple[int, int]]
    pushes: int = 0
    greeting: int = 0
    heartbeat: int | None = None
    gap: bool = False

    def begun(self, sent: int) -> int:
        """How many of its pushes a write has begun that took `sent` bytes; `cut` has the rest of the last one kept."""
        return bisect_left(self.ends, sent, hi=self.pushes, key=itemgetter(0))

    def cut(self, sent: int, cursor: int) -> tuple[int, bytes]:
        """Where a write stopped that began at `cursor` and took `sent` bytes, less than all.

        Returns the cursor and what must be kept for the listener: no more than the rest of the frame that was begun.
        """
        if sent < self.greeting:
            return cursor, self.data[sent : self.greeting]
        begun = 0
        for end, position in self.ends:
            if end > sent:
                return (position, self.data[sent:end]) if sent > begun else (cursor, b"")
            begun, cursor = end, position
        return cursor, b""


class View:
    """`live` are the listeners that nothing holds back, `filtered` those with a filter of their own.

    `head` is the position of the last push that the view may see. `mark` gives the position for a heartbeat.
    """

    __slots__ = (
        "again", "at", "awake", "filtered", "form", "head", "key", "live", "mark", "members", "next_since", "round",
        "since", "sources", "spans", "strictest",
    )  # fmt: skip

    def __init__(self, key: Key, sources: tuple[Source, ...], head: int, mark: Callable[[], int]) -> None:
        self.key = key
        self.form = key[0]
        self.sources = sources
        self.head = head
        self.mark = mark
        self.members = 0
        self.live: dict[Listener, None] = {}
        self.filtered: dict[Listener, None] = {}
        self.strictest = -1  # no lower than the highest internal id among the filtered
        self.spans: dict[int, Span | None] = {}
        # The sweep's own: who is visited in this round, from `at` on, whether there must be another, and the times from
        # which on the oldest push of this and of that one has waited.
        self.round: list[Listener] = []
        self.at = 0
        self.again = False
        self.awake = False
        self.since = 0.0
        self.next_since = 0.0

    def advance(self, push: Push) -> list["Listener"]:
        """A push came that the view may see. Returns the live listeners that do not want it."""
        self.head = push.position
        self.spans = {}
        if push.push_id is None or push.push_id > self.strictest:
            return []
        self.strictest = max([listener.strictest for listener in self.filtered], default=-1)
        return [listener for listener in self.filtered if listener in self.live and not listener.wants(push)]

    def count(self, push: Push) -> int:
        """How many listeners a push that the view may see can reach."""
        if push.push_id is None or push.push_id > self.strictest:
            return self.members
        return self.members - sum(not listener.wants(push) for listener in self.filtered)

    def span(self, cursor: int) -> Span | None:
        """What all at `cursor` are owed next; None if they must be told a gap first, which is each one's own affair."""
        if cursor in self.spans:
            return self.spans[cursor]
        span = None
        if all(ring.lost_since(secret) <= cursor for ring, secret in self.sources):
            span = self.join(cursor)
        if len(self.spans) >= SPANS:
            self.spans.clear()
        self.spans[cursor] = span
        return span

    def join(
        self, cursor: int, greeting: bytes = b"", wants: Callable[[Push], bool] | None = None, replaying: bool = False
    ) -> Span:
        """Frames to bytes, up to `SPAN`: the greeting, the pushes that are wanted, a heartbeat where one belongs."""
        encode = self.form.encode
        parts, size, ends = [greeting], len(greeting), [(len(greeting), cursor)]
        pushes, heartbeat = 0, None
        for scanned, push in enumerate(_pushes_after(self.sources, cursor), 1):
            if wants is None or wants(push):
                data = encode(push.frame, push.position)
                if size > len(greeting) and size + len(data) > SPAN:
                    break
                parts.append(data)
                size += len(data)
                ends.append((size, push.position))
                pushes += 1
            cursor = push.position
            if scanned >= SCAN:
                break
        else:
            cursor = max(cursor, self.head)
            if replaying or (self.form.once and size):
                heartbeat = size
                position = self.mark()
                parts.append(encode(heartbeat_frame(position), position))
                size += len(parts[-1])
                ends.append((size, cursor))
        return Span(b"".join(parts), size, cursor, ends, pushes, len(greeting), heartbeat)


def _pushes_after(sources: Iterable[Source], cursor: int) -> Iterator[Push]:
    """What is kept above `cursor` in the order of positions, over several rings, secret ones only where seen."""
    rings = [ring.after(cursor) if secret else _public(ring.after(cursor)) for ring, secret in sources]
    return rings[0] if len(rings) == 1 else merge(*rings, key=attrgetter("position"))


def _public(pushes: Iterator[Push]) -> Iterator[Push]:
    return (push for push in pushes if not push.secret)
