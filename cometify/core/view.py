"""A view: all listeners that are owed the same bytes.

They listen to the same rings with the same right to secret pushes, and their transports use the same encoding. The bytes
from a cursor to the head are therefore encoded once for all listeners that stand at this cursor: they are a *span*.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

from cometify.core.encodings import Encoding
from cometify.core.filter_index import FilterIndex, Kind
from cometify.core.frames import heartbeat_frame
from cometify.core.late_views import LateViews
from cometify.core.position import edge_position
from cometify.core.push import Push
from cometify.core.ring import POSITION, Channel, RingBuffer
from cometify.core.span import Span
from cometify.core.usage import AccountCounts

if TYPE_CHECKING:
    from cometify.core.listener import Listener

SPAN = 64 * 1024
"""Bytes in one write at most. A single frame can be larger."""
SCAN = 1_000
"""Pushes looked at for one write at most. A filter can let little through of a long replay, which must not take long."""
SPANS = 32
"""Spans remembered at once. Listeners that catch up stand at cursors of their own, so their number has no bound."""

Source = tuple[RingBuffer, bool]
"""A ring, and whether the view sees its secret pushes."""
ViewKey = tuple[Encoding, tuple[tuple[Channel, bool], ...]]
"""The key of a view. Listeners with the same key are owed the same bytes."""


_NEVER_LATE = LateViews()


class View:
    """`head` is the position of the newest push that the view may see. `visible`: the kept pushes that it may see.

    `live`: the listeners at the head. `filtered`: those of all states with an internal id. `members` counts all of them.
    `watermark()` gives the position for a heartbeat. It can be below the position of a push that was just announced.
    `late`: see `core/late_views.py`. `counts`: those of the account.

    Six attributes belong to the fan-out. `pass_members`: the listeners of the pass that is under way. `pass_at`: the index
    of the next one. `needs_pass`: another pass must follow. `is_queued`: the view is in the queue. `pass_since` and
    `next_since`: the times since when the oldest push of this pass, and of the next one, has waited.
    """

    __slots__ = (
        "account", "before", "counts", "encoding", "filtered", "head", "is_queued", "key", "late", "latest", "live", "members",
        "needs_pass", "next_since", "pass_at", "pass_members", "pass_since", "sources", "spans", "visible", "watermark",
    )  # fmt: skip

    def __init__(
        self,
        key: ViewKey,
        sources: tuple[Source, ...],
        head: int,
        watermark: Callable[[], int],
        late: LateViews = _NEVER_LATE,
        counts: AccountCounts | None = None,
    ) -> None:
        self.key = key
        self.encoding = key[0]
        self.sources = sources
        self.account = sources[0][0].channel[0] if sources else ""
        """The API key."""
        self.counts = AccountCounts() if counts is None else counts
        self.visible = tuple([kept for ring, secret in sources for kept in ring.visible(secret)])
        self.head = head
        self.watermark = watermark
        self.late = late
        self.members = 0
        self.live: dict[Listener, None] = {}
        self.filtered = FilterIndex()
        self.latest: Push | None = None
        self.before = head
        """The head before the latest push."""
        self.spans: dict[int, Span | None] = {}
        self.pass_members: list[Listener] = []
        self.pass_at = 0
        self.needs_pass = False
        self.is_queued = False
        self.pass_since = 0.0
        self.next_since = 0.0

    def advance(self, push: Push) -> None:
        """Raise the head to a push that the view may see."""
        self.before, self.latest = self.head, push
        self.head = max(self.head, push.position)
        self.spans = {}

    def rise(self, position: int) -> None:
        """Raise the head to `position`, because the rings have pushes up to there, or may have lost them.

        The live listeners are below the head then. The next pass finds the pushes, or the gap, for each.
        """
        self.head = max(self.head, position)
        self.spans = {}

    @property
    def newest(self) -> int:
        """The position of the newest push in the rings that the view may see, or of a loss."""
        return max([ring.newest(secret) for ring, secret in self.sources])

    @property
    def is_late(self) -> bool:
        """True if the head is not raised yet to what the rings have."""
        return self.late.exist and self.newest > self.head

    def span(self, cursor: int) -> Span | None:
        """Return the next write for every listener at `cursor`.

        None if something may be lost above the cursor: each listener must then be told its own gap.
        """
        if cursor in self.spans:
            return self.spans[cursor]
        span = None
        excludes = False
        for kept in self.visible:
            if kept.floor > cursor:
                break
            if kept.excluding > cursor:
                excludes = True
        else:
            span = self._latest_alone(cursor) or self.join(cursor)
            if self.filtered.count:
                span.lowest = self._lowest_push_ids(cursor, span.cursor)
                span.is_for_all = not span.lowest
            if excludes:
                span.is_for_all = False
                span.excluded = {
                    push.excluded
                    for push in self._pushes_after(cursor)
                    if push.excluded is not None and push.position <= span.cursor
                }
        if len(self.spans) >= SPANS:
            self.spans.clear()
        self.spans[cursor] = span
        return span

    def unwilling(self, span: Span, cursor: int, among: Iterable["Listener"]) -> list["Listener"]:
        """List the listeners among some that are at `cursor` and must not get the span that begins there.

        They are live, so they have no filter but by internal id, or a push excludes them. Each is owed a write of its own
        instead. One can be in the list twice.
        """
        found = self.filtered.unwilling(span.lowest, among) if span.lowest else []
        excluded = span.excluded
        if excluded:
            found += [listener for listener in among if listener.id in excluded]
        return [listener for listener in found if listener.cursor == cursor]

    def excludes_after(self, cursor: int) -> bool:
        """Return whether a push above `cursor` excludes some listener."""
        for kept in self.visible:  # noqa: SIM110 - a loop, because any() takes three times as long for one channel
            if kept.excluding > cursor:
                return True
        return False

    def _lowest_push_ids(self, cursor: int, to: int) -> Mapping[Kind, int]:
        """Find `lowest` of a span between two positions.

        A listener that comes into the view later does not matter: it goes live at the head, and no span is behind it.
        """
        lowest: dict[Kind, int] = {}
        for push in self._pushes_after(cursor):
            if push.position > to:
                break
            if push.push_id is not None:
                kind = push.identifier, push.secret
                lowest[kind] = min(push.push_id, lowest.get(kind, push.push_id))
        return {kind: push_id for kind, push_id in lowest.items() if self.filtered.count_unwilling(kind, push_id)}

    def join(
        self,
        cursor: int,
        preamble: bytes = b"",
        wants: Callable[[Push], bool] | None = None,
        replaying: bool = False,
    ) -> Span:
        """Encode a write: the preamble, the pushes above `cursor` that are wanted, and a heartbeat if one must follow.

        A heartbeat follows only if the write leads to the head. None for `wants` lets all pushes through.
        """
        encode = self.encoding.encode_push
        parts: list[bytes] = []
        size, ends = 0, []
        for scanned, push in enumerate(self._pushes_after(cursor), 1):
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

    def _pushes_after(self, cursor: int) -> Iterator[Push]:
        """Iterate over the kept pushes above `cursor`, in the order of positions over all rings and both kinds."""
        runs = [kept.after(cursor) for kept in self.visible if kept.has_above(cursor)]
        return runs[0] if len(runs) == 1 else merge(*runs, key=POSITION)

    def _latest_alone(self, cursor: int) -> Span | None:
        """Return the same as `join` if the latest push is all that is owed, else None.

        This is so if pushes come one at a time, and saves 3 us of each.
        """
        push = self.latest
        if push is None or not self.before <= cursor < push.position == self.head:
            return None
        data = self.encoding.encode_push(push)
        size = len(data)
        return self._told(Span(data, size, self.head, ((size, self.head),)), b"", False)

    def replay(self, cursor: int, preamble: bytes, replaying: bool, listener_id: str = "") -> Span | None:
        """Return the same as `join`, for a listener that wants everything. None if a push may exclude this listener.

        Many listeners come back at once, from the same cursor or from one with the same pushes above it. They share the
        pushes of one span, and have only the preamble of their own.
        """
        if cursor >= self.head:  # most listeners join for future pushes only
            return self._told(Span(b"", 0, cursor, ()), preamble, replaying)
        shared = self.span(self._before_next(cursor))
        if shared is None:  # the gap is in this listener's preamble
            return None if self.excludes_after(cursor) else self.join(cursor, preamble, None, replaying)
        if listener_id in shared.excluded:
            return None
        if shared.cursor < self.head:
            size = len(preamble)
            return Span(preamble + shared.data, size + shared.size, shared.cursor, shared.ends, size)
        return self._told(shared, preamble, replaying)

    def _before_next(self, cursor: int) -> int:
        """Return the highest cursor with the same pushes above it."""
        following = [push for kept in self.visible for push in islice(kept.after(cursor), 1)]
        return min([push.position for push in following], default=self.head + 1) - 1

    def _told(self, span: Span, preamble: bytes, replaying: bool) -> Span:
        """Put a preamble before a span that leads to the head, and a heartbeat behind it if one must follow."""
        size = len(preamble) + span.size
        if not (preamble or replaying or self.encoding.once):
            return span
        if span.heartbeat is not None:
            data, heartbeat = preamble + span.data, len(preamble) + span.heartbeat
            return Span(data, size, span.cursor, span.ends, len(preamble), heartbeat, span.told)
        if not (replaying or (self.encoding.once and size)):
            return Span(preamble + span.data, size, span.cursor, span.ends, len(preamble))
        position = self.told_position(span.cursor)
        beat = self.encoding.encode(heartbeat_frame(position), position)
        data = b"".join([preamble, span.data, beat])
        return Span(data, len(data), span.cursor, span.ends, len(preamble), size, position)

    def told_position(self, cursor: int) -> int:
        """The position for a heartbeat to listeners that have everything up to `cursor`, which is at the head."""
        if self.is_late:
            return cursor  # the watermark is above a push that is not sent yet
        watermark = self.watermark()
        return edge_position(watermark, cursor) if self.encoding.converges else max(watermark, cursor)
