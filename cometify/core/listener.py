"""A listener: one cursor over what is kept, on whatever transport.

                 joins          owes nothing more        a write was cut short       writable again
    (new)     -> BEHIND
    BEHIND                      -> LIVE                  -> STALLED
    LIVE         a push that it does not want, or a gap:
                 -> BEHIND                               -> STALLED
    STALLED                                                                          -> BEHIND

and GONE from any, for good. LIVE is being in the view's `live`: the sweep writes to all of those alike. BEHIND is
being brought to the head by itself. A STALLED listener costs nothing until its transport has room again.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

import attrs

from cometify.core.encodings import Encoding
from cometify.core.errors import Refused
from cometify.core.frames import gap_frame
from cometify.core.group_filter import Filters, GroupFilter
from cometify.core.listener_state import Event, State, next_state
from cometify.core.push import Push
from cometify.core.view import Span, View

_NOTHING: Mapping[str, tuple[int, int]] = {}


@attrs.define(eq=False)
class Backlog:
    """What a listener that is not live has besides its cursor.

    `preamble`: bytes that come before anything else. `lost`: identifiers whose loss is to be told. For each identifier
    `unwanted` has up to where public and secret pushes are not wanted, so that their loss is none, and `told` up to where
    their loss was told. Two, because who asks again has been told what it was told, but may want more than it did.
    `replaying`: a heartbeat ends it.
    """

    preamble: bytes = b""
    lost: AbstractSet[str] = frozenset()
    unwanted: Mapping[str, tuple[int, int]] = _NOTHING
    told: Mapping[str, tuple[int, int]] = _NOTHING
    replaying: bool = False


def not_live(_data: bytes) -> int | None:
    """Placeholder for `send` while the listener is not live. Returns None, which the fan-out reads as "skip"."""
    return None


class Listener:
    """What all transports share; they bring the writing.

    `send` writes what it can at once and returns the number of bytes, or raises OSError; while the listener is not
    live it is `not_live`.
    """

    __slots__ = ("backlog", "beat_at", "beat_from", "cursor", "filters", "send", "sent_up_to", "state", "view")

    encoding: Encoding

    def __init__(self) -> None:
        self.state = State.BEHIND
        self.cursor = 0
        self.sent_up_to = 0  # up to where it had all when it went live, or had a heartbeat
        self.view: View | None = None
        self.filters: Filters | None = None
        self.backlog: Backlog | None = None
        self.beat_at = -1  # the pulse's own, as beat_from is
        self.beat_from = 0
        self.send: Callable[[bytes], int | None] = not_live

    def offer(self, data: bytes) -> int:
        """Write what can be written at once; how many bytes that was. Never raises."""
        raise NotImplementedError

    def hold(self, rest: bytes) -> None:
        """Keep `rest` and write it as soon as possible; `fan_out.catch_up` when that is done."""
        raise NotImplementedError

    def unread(self) -> int:
        """How many bytes wait for it in the process and the kernel: while that stays, it reads nothing."""
        raise NotImplementedError

    def beat(self, heartbeat: bytes) -> None:
        """Write a heartbeat, in the listener's form. It is live and at the head."""
        raise NotImplementedError

    def wake(self) -> None:
        """It became live: set `send`."""
        raise NotImplementedError

    def end(self, refused: Refused) -> None:
        """Tell why, and end the connection."""
        raise NotImplementedError

    def drain(self, after: int) -> None:
        """Tell to come back after so many milliseconds, and end the connection."""
        raise NotImplementedError

    def preface(self, data: bytes) -> None:
        """Have `data` come before whatever comes next, which it does not bring about."""
        raise NotImplementedError

    def wants(self, push: Push) -> bool:
        """Whether one of its groups lets the push through. Its view may see it, and no filter is: all of that."""
        return self.filters is None or any(want(push) for want in self.filters[push.identifier])

    @staticmethod
    def unfiltered(secret: bool) -> GroupFilter:
        """What a listener without filters wants of an identifier."""
        return GroupFilter(secret)

    @property
    def has_internal_id(self) -> bool:
        """Whether one of its groups filters by an internal id."""
        return any(group.above >= 0 for groups in (self.filters or {}).values() for group in groups)

    def owed(self) -> Span:
        """The next write of one that is behind."""
        view = self.view
        assert view is not None
        backlog = self.backlog
        if backlog is None and self.filters is None:
            span = view.span(self.cursor)
            if span is not None:
                return span
        if backlog is None:
            backlog = self.backlog = Backlog()
        gap = self._gap(view, backlog)
        preamble = backlog.preamble + gap
        if self._wants_all(view):
            span = view.replay(self.cursor, preamble, backlog.replaying)
        else:
            span = view.join(self.cursor, preamble, self.wants, backlog.replaying)
        span.gap = bool(gap)
        return span

    def _wants_all(self, view: View) -> bool:
        """Whether no filter makes a difference from its cursor on."""
        cursor, filters = self.cursor, self.filters
        if filters is None or cursor >= view.head:
            return True
        return all(
            any(want.lets_all(secret, cursor) for want in filters[ring.channel[1]]) for ring, secret in view.sources
        )

    def _gap(self, view: View, backlog: Backlog) -> bytes:
        told = backlog.told
        lost = backlog.lost
        for ring, secret in view.sources:
            if ring.lost_since(secret) <= self.cursor:
                continue
            name = ring.channel[1]
            public_told, secret_told = told.get(name, (0, 0))
            unwanted, secret_unwanted = backlog.unwanted.get(name, (0, 0))
            if ring.floor > max(self.cursor, unwanted, public_told) or (
                secret and ring.secret_floor > max(self.cursor, secret_unwanted, secret_told)
            ):
                lost = lost | {name}
                # Who may see no secret pushes is told nothing of those, should it be let to see them later.
                told = {
                    **told,
                    name: (max(ring.floor, public_told), max(ring.secret_floor if secret else 0, secret_told)),
                }
        if not lost:
            return b""
        backlog.lost, backlog.told = frozenset(), told
        names = [ring.channel[1] for ring, _secret in view.sources if ring.channel[1] in lost]
        return view.encoding.encode(gap_frame(names), None) if names else b""

    def took(self, span: Span, sent: int) -> bytes:
        """`sent` bytes of `span` were written. Returns what must be held for it."""
        rest = b""
        if sent == span.size:
            self.cursor = span.cursor
        else:
            self.cursor, rest = span.cut(sent, self.cursor)
        if self.backlog is not None:
            self.backlog.preamble = b""
            if span.heartbeat is not None and (sent > span.heartbeat or sent == span.size):
                self.backlog.replaying = False
                self.sent_up_to = span.told
        return rest

    @property
    def owes_nothing(self) -> bool:
        """Whether it has all that it gets."""
        assert self.view is not None
        backlog = self.backlog
        return self.cursor >= self.view.head and (
            backlog is None or not (backlog.replaying or backlog.preamble or backlog.lost)
        )

    @property
    def reached(self) -> int:
        """Up to where it has all that it gets: the cursor, or above it what its view may not see."""
        return max(self.cursor, self.sent_up_to)

    def transition(self, event: Event) -> None:
        """Take the state that `event` leads to. No other code assigns `state`.

        A listener that stops being live leaves the passes of its view. `go_live` is the way into them. An event that
        the state does not allow calls `listener_state.on_impossible` and changes nothing.
        """
        before = self.state
        self.state = next_state(before, event)
        if before is State.LIVE and self.state is not State.LIVE:
            assert self.view is not None
            self.view.live.pop(self, None)
            self.send = not_live

    def go_live(self, event: Event = Event.REACHED_HEAD) -> None:
        """It is at the head: from here on the past makes no difference, and one cursor serves for all."""
        view = self.view
        assert view is not None
        self.transition(event)
        self.sent_up_to = self.reached
        self.cursor = view.head
        self.backlog = None
        if self.filters is not None:
            self._settle(view)
        view.live[self] = None
        self.wake()

    def _settle(self, view: View) -> None:
        assert self.filters is not None
        settled = {name: tuple([want.settled for want in wants]) for name, wants in self.filters.items()}
        seen = {ring.channel[1]: secret for ring, secret in view.sources}
        if all(any(w.above < 0 and w.secret == seen[name] for w in wants) for name, wants in settled.items()):
            self.filters = None
        else:
            self.filters = settled
