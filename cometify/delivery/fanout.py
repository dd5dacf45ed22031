"""Brings listeners from their cursors to the head, in slices.

Two ways, one after the other in each slice: the rounds, in which a view's live listeners are all written to alike,
and the listeners that are behind by themselves (they join, catch up, or have a filter that a push fell into), a span
at a time. Both write what `View` joins; a write that comes short leaves the listener to its transport.
"""

import time
from collections import deque
from collections.abc import Callable

from cometify.core.histogram import Histogram
from cometify.core.listener import Listener
from cometify.core.listener_state import Event, State
from cometify.core.view import Span, View

SLICE = 0.000_25
"""Seconds of one slice. Between two slices the reactor reads, so that many pushes go out in one write under load:
with 2 ms a sixth of the deliveries were reached, with 0.05 ms latencies doubled."""
LONGEST = 0.001
"""Seconds to which slices grow while no push comes between them: a turn of the reactor for each 32 listeners is a
twentieth of what they cost."""
CHUNK = 32
"""Listeners between two looks at the clock."""


class FanOut:
    """`later(seconds, function)` is the reactor's callLater; `clock` counts seconds.

    `deliveries`: how many times a push was written to a listener, or given to its transport. `gaps`: how many gaps were
    told. `lag`: for each round, how long its oldest push had waited when all of the view's live listeners had it.
    """

    def __init__(
        self, later: Callable[[float, Callable[[], None]], object], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._later = later
        self._clock = clock
        self._awake: deque[View] = deque()
        self._behind: deque[Listener] = deque()
        self._set = False
        self._length = SLICE
        self._is_news = False
        self.deliveries = 0
        self.gaps = 0
        self.lag = Histogram()

    def wake(self, view: View) -> None:
        """There is something new for the view."""
        self._is_news = True
        if view.again:
            return  # a round is to begin anyway, and will be of those who are live by then
        if view.live:
            view.again, view.next_since = True, self._clock()
            if not view.awake:
                view.awake = True
                self._awake.append(view)
        self._start()

    def catch_up(self, listener: Listener) -> None:
        """Bring a listener that is behind to the head."""
        self._behind.append(listener)
        self._start()

    def _start(self) -> None:
        # Never at once: the publisher's answer goes first, and pushes that came together go out together.
        if not self._set and (self._awake or self._behind):
            self._set = True
            self._later(0, self._slice)

    def _slice(self) -> None:
        self._length = SLICE if self._is_news else min(self._length * 2, LONGEST)
        self._is_news = False
        self._set = False
        try:
            if self._awake:
                self._run_passes(self._clock() + self._length)
            if self._behind:
                self._catch_up_some(self._clock() + SLICE)
        finally:
            self._start()

    def _run_passes(self, end: float) -> None:
        while self._awake:
            view = self._awake[0]
            if not self._run_pass(view, end):
                self._awake.rotate(-1)
                return
            view.awake = False
            view.pass_members = []
            view.spans = {}
            self._awake.popleft()
            if self._clock() >= end:
                return

    def _run_pass(self, view: View, end: float) -> bool:  # noqa: C901, PLR0912 - one loop, for each call would cost
        """Whether all of the view's live listeners are at the head. This is what a delivery costs."""
        while True:
            if view.at >= len(view.pass_members):
                if not view.again:
                    return True
                view.again, view.since = False, view.next_since
                view.pass_members = list(view.live)
                view.at = 0
            part = view.pass_members[view.at : view.at + CHUNK]
            view.at += len(part)  # not CHUNK: who is appended after a last, shorter part would be jumped over
            head, last, span = view.head, -1, None  # the head anew for each part: late ones get what came meanwhile
            # Counting each would be a tenth of this loop. So `deliveries` is what it will be if all from here on get
            # this span's `pushes`, and who gets other than that is put right.
            deliveries = pushes = 0
            for listener in part:
                if listener.view is not view:
                    deliveries -= pushes
                    continue  # it has asked for something else since the round began, or may see less
                cursor = listener.cursor
                if cursor != last:
                    if cursor >= head:
                        deliveries -= pushes
                        continue
                    span = view.span(cursor)
                    last = cursor
                    if span is None:
                        deliveries -= pushes
                        self._fall_behind(listener)
                        last = -1
                        continue
                    data, size, to = span.data, span.size, span.cursor
                    deliveries += (len(span.ends) - pushes) * (len(part) - part.index(listener))
                    pushes = len(span.ends)
                    if to < head:
                        view.again = True
                try:
                    sent = listener.send(data)
                except OSError:  # EAGAIN; a real error is met again by the reactor, which ends the connection
                    sent = 0
                if sent == size:
                    listener.cursor = to
                elif sent is None:
                    deliveries -= pushes
                else:
                    deliveries += span.begun(sent) - pushes  # type: ignore[union-attr]
                    self._short(listener, span, sent)  # type: ignore[arg-type]
            self.deliveries += deliveries
            now = self._clock()
            if view.at >= len(view.pass_members):
                self.lag.observe(now - view.since)
            if now >= end:
                return False

    def _fall_behind(self, listener: Listener) -> None:
        if listener.state is State.LIVE:
            listener.transition(Event.DIVERGED)
            self.catch_up(listener)

    def _short(self, listener: Listener, span: Span, sent: int) -> None:
        """A write was cut short: the transport has the rest of one frame, and the ring everything else."""
        rest = listener.took(span, sent)
        listener.transition(Event.BLOCKED)
        listener.hold(rest)

    def _catch_up_some(self, end: float) -> None:
        """Each a span, then the next, and from the front again: who is far behind does not hold up the others."""
        behind = self._behind
        for _ in range(len(behind)):
            listener = behind.popleft()
            if listener.state is State.BEHIND:
                self._advance(listener)
            if self._clock() >= end:
                return

    def _advance(self, listener: Listener) -> None:
        span = listener.owed()
        sent = listener.offer(span.data) if span.size else 0
        self.deliveries += span.begun(sent)
        self.gaps += span.gap
        if listener.state is State.GONE:
            return  # it ended with this write, as a poll does
        if sent < span.size:
            self._short(listener, span, sent)
            return
        listener.took(span, sent)
        if listener.state is not State.BEHIND:
            return  # the transport has taken it, and wants no more for now
        if listener.owes_nothing:
            listener.go_live()
        else:
            self._behind.append(listener)
