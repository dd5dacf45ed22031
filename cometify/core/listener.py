"""A listener: one cursor over the pushes that are kept, on any transport.

Theory of operation
===================

No listener has a queue. The ring buffer of a channel keeps the newest pushes in the order of their positions, and it is
the queue of all listeners of the channel. A listener has a cursor in it:

    position    a time in microseconds that the engine gave to a push; strictly growing over an account
    cursor      the listener has everything up to here that it gets
    head        of a view: the position of the newest push that its listeners may see
    floor       of a ring: the position of the newest push that was dropped. Public and secret pushes have a floor each
    watermark   of an account: every push up to here was announced. It grows with time, also when nothing is pushed

Replay is being behind the head, live is being at the head. A listener can be behind because it joined with an old
position, because it was slow, or because it came back after its connection was cut. This makes no difference: it gets the
pushes between its cursor and the head, and then goes live. A listener costs the same memory, however far it is behind.

A listener whose cursor is below a floor may have lost a push. It must be told so by a `gap` frame before it gets anything
newer. It must be told once, and not at all if it can have lost nothing that it would have got.

Besides its cursor a listener that is not live has a *backlog*. The backlog is dropped when the listener goes live, because
nothing is owed to a live listener. It has:

- `preamble`: bytes that come before the next push, such as the head of the response and the `ready` frame;
- `lost`: identifiers whose loss is known already;
- `replaying`: whether a heartbeat must end the replay.

Below, positions grow to the right, `c` is the cursor, and the capital letters are states (see `listener_state`).

(a) Join, replay, live
----------------------
A page asks for "chat" from position 100. Its view has the head 120, and the watermark is 125.

    kept                 90         110   120         130
    joins                     c=100                               BEHIND, backlog: preamble = ready, replaying
    catches up                            c=120                   one write: ready, 110, 120, heartbeat 125
    nothing is owed                       c=120                   LIVE, no backlog, sent_up_to = 125
    130 is pushed                                     c=130       by the pass over all live listeners of its view

The heartbeat told 125, above the cursor, because the watermark proves that nothing lies between. `sent_up_to` remembers
this: if the page asks for something else now, it goes on from 125, and not from 120. That matters for a listener without
a key: a secret push at 122 is invisible to its view. If it comes with a key later it must not get 122, because it was told
that it had everything up to 125.

(b) A slow reader
-----------------
The ring keeps three pushes here. The socket takes 140 and the first three bytes of 150, and then nothing.

    kept                 130  140  150
    a pass writes                  c=150                          STALLED, the transport holds the rest of 150
    160 to 190 come                     floor=160  170  180  190  dropped: 130 to 160
    has room again                 c=150                          BEHIND, c is below the floor
    catches up                                          c=190     one write: gap, 170, 180, 190
    nothing is owed                                     c=190     LIVE

150 counts as sent when its first byte was sent, because the rest of its frame must follow whatever happens. So it is no
loss that 150 was dropped since. 160 is a loss, and the gap tells it. `told` keeps the floors that the gap was told for.
If the socket takes only a part of the gap's frame, the cursor stays at 150, and the gap is not told again.

If nothing had been dropped, the same listener would have got 160 to 190 and no gap. `STALLED` itself loses nothing.

(c) A cut connection that resumes while pushes were dropped
-----------------------------------------------------------
Two pages, A without a key and B with one, come back with position 200. Meanwhile secret pushes at 202, 205 and 215 and
public ones at 210 and 220 came. The ring has room for two of each kind.

    dropped              180                            public floor=180
    kept                                    210  220
    dropped, secret                 202                 secret floor=202
    kept, secret                         205   215
    A comes back               c=200                    above the public floor: nothing is lost, A gets 210, 220
    B comes back               c=200                    below the secret floor: B gets gap, 205, 210, 215, 220

With one limit for both kinds of pushes, 215 would have driven 210 out. With one floor A would be told a gap as well. Both
would tell A that secret pushes had been there, how many, and when. So each kind has its limits and its floor, and a view
compares the cursor only with those of pushes that it may see. For the same reason `told` is 0 for secret pushes as long as
the listener may not see them. If it comes with a key later, their loss is told then.

Losses that are none
--------------------
A page that joins with the internal id 7 wants only pushes with a higher push_id. If only pushes up to 5 were dropped it
has lost nothing, although its first cursor is below the floor. The ring remembers the highest push_id that was dropped.
The join plan computes `unwanted` from it: up to there a drop costs this listener nothing.

The ring can know this only of drops that it has observed. `began` (of the ring) is the position above which it has
observed every drop. After a restart, or on a node that begins to follow a channel, `began` is where the memory begins, and
everything up to there counts as a possible loss.
"""

from collections.abc import Callable

from cometify.core.backlog import Backlog
from cometify.core.encodings import Encoding
from cometify.core.errors import Refused
from cometify.core.group_filter import Filters, GroupFilter, filters_at_head
from cometify.core.listener_state import TRANSITIONS, Event, State
from cometify.core.push import Push
from cometify.core.span import Span
from cometify.core.state_table import next_state
from cometify.core.view import View


class Listener:
    """The part that all transports share. A transport adds the writing.

    `cursor` and `sent_up_to`: see "Theory of operation". `filters`: None if the listener wants everything that its view
    may see. `backlog`: None if nothing is owed besides pushes. `id`: its listener id, by which a push can exclude it.

    `send` is for the fan-out's pass alone, and None while the listener is not live. It writes as many bytes as it can at
    once and returns their number, or raises OSError. It is one of three functions: the socket's own `send`, a `TLSWriter`,
    or the listener's `offer`. `offer` is for transports that must look at each write: a poll ends, a stream counts bytes.
    """

    __slots__ = ("backlog", "beat_at", "beat_from", "cursor", "filters", "id", "send", "sent_up_to", "state", "view")

    encoding: Encoding

    def __init__(self) -> None:
        self.state = State.BEHIND
        self.id = ""
        self.cursor = 0
        self.sent_up_to = 0
        self.view: View | None = None
        self.filters: Filters | None = None
        self.backlog: Backlog | None = None
        # The heartbeat wheel's own: the slot (-1: in none), and the tick that the interval is counted from.
        self.beat_at = -1
        self.beat_from = 0
        self.send: Callable[[bytes], int] | None = None

    def offer(self, data: bytes) -> int:
        """Write as many bytes as can be written at once. Returns their number. Never raises."""
        raise NotImplementedError

    def hold(self, rest: bytes) -> None:
        """Keep `rest`, write it as soon as possible, and have the listener catch up when that is done."""
        raise NotImplementedError

    def unread(self) -> int:
        """Return how many bytes wait for the peer in the process and the kernel. It reads nothing while that stays."""
        raise NotImplementedError

    def in_words(self) -> str:
        """Name the listener in the log."""
        return f"a listener on {self.encoding.name}"

    def lost_right(self) -> None:
        """Do what the transport needs when a token has expired. The `ready` that tells of it is owed already."""

    def beat(self, heartbeat: bytes) -> None:
        """Write an encoded heartbeat. The listener is live and at the head."""
        raise NotImplementedError

    def wake(self) -> None:
        """Set `send`, because the listener became live. A transport may name a function that does less than `offer`."""
        self.send = self.offer

    def end(self, refused: Refused) -> None:
        """Tell the reason in an error frame and end the connection."""
        raise NotImplementedError

    def drain(self, after: int) -> None:
        """Tell the listener to reconnect after so many milliseconds, and end the connection."""
        raise NotImplementedError

    def preface(self, data: bytes) -> None:
        """Prepend `data` to the next write. Does not cause a write."""
        raise NotImplementedError

    # Filters.

    def wants(self, push: Push) -> bool:
        """Return True if one of its groups lets the push through. The view may see the push."""
        if push.excluded is not None and push.excluded == self.id:
            return False
        return self.filters is None or any(lets(push) for lets in self.filters[push.identifier])

    @staticmethod
    def unfiltered(secret: bool) -> GroupFilter:
        """Return the filter of an identifier that is as good as none."""
        return GroupFilter(secret)

    @property
    def has_internal_id(self) -> bool:
        """True if one of its groups filters by an internal id."""
        return any(group.above >= 0 for groups in (self.filters or {}).values() for group in groups)

    def _wants_all(self, view: View) -> bool:
        """Return True if no filter makes a difference from the cursor on."""
        cursor, filters = self.cursor, self.filters
        if filters is None or cursor >= view.head:
            return True
        return all(
            any(group.lets_all(secret, cursor) for group in filters[ring.channel[1]]) for ring, secret in view.sources
        )

    # The next write of a listener that is behind.

    def owed(self) -> Span:
        """Return the bytes of the next write, with the gap and the preamble that come before the pushes."""
        view = self.view
        assert view is not None
        backlog = self.backlog
        if backlog is None and self.filters is None:
            # The span of the view serves all listeners at this cursor. None means that a gap must be told first.
            span = view.span(self.cursor)
            if span is not None and self.id not in span.excluded:
                return span
        if backlog is None:
            backlog = self.backlog = Backlog()
        gap = backlog.take_gap(view, self.cursor)
        preamble = backlog.preamble + gap
        span = view.replay(self.cursor, preamble, backlog.replaying, self.id) if self._wants_all(view) else None
        if span is None:
            wants = backlog.wants(self.filters, self.id) or self.wants
            span = view.join(self.cursor, preamble, wants, backlog.replaying)
            if self.encoding.once and not span.ends and span.heartbeat is None and span.cursor > self.cursor:
                # The only write of this listener must tell a position. This part of the replay has no wanted push, so the
                # preamble waits for the next part. If it were written by itself, a listener that was told a gap would come
                # again from the same position, and would be told the same gap for ever.
                backlog.preamble = preamble
                span = Span(b"", 0, span.cursor, ())
        span.gap = bool(gap)
        return span

    def took(self, span: Span, sent: int) -> bytes:
        """Move the cursor, because `sent` bytes of `span` were written. Returns the bytes that must be held.

        These are the rest of the frame that was begun, or of the preamble. All others are still in the rings.
        """
        rest = b""
        if sent == span.size:
            self.cursor = span.cursor
        else:
            self.cursor, rest = span.cut(sent, self.cursor)
        if self.backlog is not None and span.size:
            self.backlog.preamble = b""
            if span.heartbeat is not None and (sent > span.heartbeat or sent == span.size):
                self.backlog.replaying = False
                self.sent_up_to = span.told
        return rest

    def cut_short(self, span: Span, sent: int) -> None:
        """Leave the listener to its transport, which took only `sent` bytes of `span`: see (b)."""
        rest = self.took(span, sent)
        self.transition(Event.BLOCKED)
        self.hold(rest)

    @property
    def has_everything(self) -> bool:
        """True if the listener has every push that it gets, and nothing else is owed to it."""
        assert self.view is not None
        backlog = self.backlog
        return self.cursor >= self.view.head and (
            backlog is None or not (backlog.replaying or backlog.preamble or backlog.lost)
        )

    @property
    def reached(self) -> int:
        """The position up to which the listener has everything. It can be above the cursor: see "Theory of operation"."""
        return max(self.cursor, self.sent_up_to)

    # States.

    def transition(self, event: Event) -> None:
        """Take the state that `event` leads to. No other code assigns `state`.

        A listener that stops being live leaves the passes of its view. `go_live` is the way into them. An event that
        the state does not allow calls `state_table.on_impossible` and changes nothing.
        """
        before = self.state
        # The table is looked at here, because a call for each state would be a fiftieth of a poll.
        self.state = TRANSITIONS.get((before, event)) or next_state("Listener", TRANSITIONS, before, event)
        if before is State.LIVE and self.state is not State.LIVE:
            assert self.view is not None
            self.view.live.pop(self, None)
            self.send = None

    def go_live(self, event: Event = Event.REACHED_HEAD) -> None:
        """Join the passes of the view. Nothing is owed to the listener.

        Its past makes no difference from here on: the backlog goes, and the filters forget the positions in them.
        """
        view = self.view
        assert view is not None
        self.transition(event)
        self.sent_up_to = self.reached
        self.cursor = view.head
        self.backlog = None
        if self.filters is not None:
            seen = {ring.channel[1]: secret for ring, secret in view.sources}
            self.filters = filters_at_head(self.filters, seen)
        view.live[self] = None
        self.wake()
