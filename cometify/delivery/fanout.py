"""The fan-out: it writes new pushes to all listeners that are owed them, in slices.

Theory of operation
===================

A push is put into the ring of its channel by the engine. The registry then calls `wake` for each view of the channel.
That takes no longer for ten thousand listeners than for one. The writing is done later, in one of two ways:

- A *pass* goes through the live listeners of a view. All of them are at the head, so they are owed the same bytes. The
  view encodes these once, as a span, and the pass sends the span to one socket after the other. This is the hot loop.
- *Catching up* is for listeners that are behind by themselves. They join, or were cut short, or have a filter that kept
  the last push out, or must be told a gap. Each is asked for its own next span (`Listener.owed`) until nothing is owed to
  it. Then it goes live (catching_up.py).

Slices
------
A slice is the work of one turn of the event loop: first passes, then catching up, each until its time is over. Between
two slices the event loop reads from sockets and accepts connections, so that a push to 50,000 listeners does not stop
the server for 200 ms. A slice is 0.25 ms long at first. While no push comes between two slices they grow to 1 ms, because
each turn has a cost of its own.

    turn       1                 2                 3                           4
    reads      push 1 of A       -                 push 2 of A, push 1 of B    -
    slice      A: 1 to 64        A: 65 to 192      A: 193 to 256               B: 1 to 64

Accounts in turn
----------------
After each slice, and after each pass, it is another account's turn. So a push waits for one view of each of the other
accounts, and not for all thousand views of an account that floods.

    waiting    A: a1 a2 a3 …    B: b1
    passes     a1  b1  a2  a3 …

Answers go first
----------------
`wake` never writes: it asks for a slice in the next turn. So the publisher's response leaves before the first delivery,
however many listeners there are. And pushes that are read in one turn are all in the ring when the slice begins: each
listener gets them in one write instead of several.

Late listeners get the pushes that came meanwhile
-------------------------------------------------
A pass over many listeners takes many slices, and pushes come in between. The head is therefore read again for each
chunk of listeners, and a span leads from the listener's cursor to the head of that moment:

    push 1 comes        the pass begins
    listeners 1-128     write 1          cursor at push 1
    push 2 comes        the head moves, and sets `needs_pass`
    listeners 129-190   write 1 and 2    cursor at push 2, in one write
    next pass           listeners 1-128 write 2. The others are at the head, and are skipped

Under load the pass thus becomes longer, but each write carries more, and the number of writes does not grow.

Filters
-------
A listener that filters by an internal id is live like all others, because nearly every push passes its filter. When the
pass comes to a span with a push that somebody in the view does not want, it asks the index of the view about the listeners
of the chunk (core/filter_index.py). Those that must not get the span diverge: they are BEHIND and catch up by themselves,
which leaves the push out. So a push takes the same time for any number of such listeners, and the rest is done chunk by
chunk. A push that excludes a listener by its id (`Span.excluded`) has each chunk searched for that id.

Short writes
------------
`send` returns how many bytes the socket took. Fewer than the span has means that the peer reads too slowly. The rest of
the frame that was begun must follow, so the transport holds it. All other bytes of the span are forgotten: the cursor is
set to the push that was begun, and everything above it is still in the ring. The listener is STALLED, takes no part in
passes, and costs nothing. When its socket has room again, it catches up from its cursor. So a slow listener costs one
frame of memory, however much is pushed, and the ring is the queue of everybody.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from cometify.core.histogram import Histogram
from cometify.core.listener import Listener
from cometify.core.listener_state import Event, State
from cometify.core.span import Span
from cometify.core.usage import AccountCounts
from cometify.core.view import View
from cometify.delivery.catching_up import CatchingUp
from cometify.interfaces import IDeliveryTrace
from cometify.runtime.epoll_loop import CallSoon

SLICE = 0.000_25
"""Seconds of a slice after a push. With 2 ms the deliveries under load fell to a sixth, because the event loop read too seldom
and fewer pushes went out in one write. With 0.05 ms the latency doubled."""
LONGEST = 0.001
"""Seconds to which slices grow while no push comes. At 0.25 ms the turns take a twentieth of the time of the deliveries."""
CHUNK = 32
"""Listeners between two looks at the clock."""


class FanOut:
    """`call_soon(0, function)` makes a call in the next turn. `clock` counts seconds.

    `deliveries`: the number of times that a push was written to a listener, or given to its transport. `gaps`: the number
    of gaps that were told. `octets`: the bytes of the deliveries. `trace`: watches the passes, unless it is None.
    `lag`: for each pass the seconds from the first `wake` that asked for it until it was over.
    """

    def __init__(self, call_soon: CallSoon, clock: Callable[[], float] = time.perf_counter) -> None:
        self._call_soon = call_soon
        self._clock = clock
        # The views of one account that wait for a pass, and those of the other accounts, whose turn comes after it.
        self._queue: deque[View] = deque()
        self._account = ""
        self._others: OrderedDict[str, deque[View]] = OrderedDict()
        self._catching_up = CatchingUp(self.deliver, self.settle, clock)
        self._behind = self._catching_up.behind
        self._is_set = False
        self._length = SLICE
        self._is_news = False
        self.deliveries = 0
        self.octets = 0
        self.gaps = 0
        self.trace: IDeliveryTrace | None = None
        self.lag = Histogram()

    def wake(self, view: View) -> None:
        """Have a pass over the live listeners of a view, because its head has moved."""
        self._is_news = True
        if view.needs_pass:
            return  # the pass has not begun yet, and will be over those who are live by then
        if view.live:
            view.needs_pass, view.next_since = True, self._clock()
            if not view.is_queued:
                view.is_queued = True
                if view.account == self._account:
                    self._queue.append(view)
                else:
                    self._queue_other(view)
        if not self._is_set:
            self._start()

    def _queue_other(self, view: View) -> None:
        """Queue a view of another account than the one whose turn it is."""
        queue = self._others.get(view.account)
        if queue is None:
            queue = self._others[view.account] = deque()
        queue.append(view)
        if not self._queue:
            self._next_account()

    def _next_account(self) -> None:
        """Let the views of the next account have their turn."""
        if self._queue:
            self._others[self._account] = self._queue
        self._account, self._queue = self._others.popitem(last=False)

    @property
    def is_busy(self) -> bool:
        """True until everything is written that can be written now."""
        return self._is_set

    def catch_up(self, listener: Listener) -> None:
        """Bring a listener that is BEHIND to the head."""
        self._behind.append(listener)
        self._start()

    def settle(self, view: View) -> None:
        """Raise the head of a view now, if it is late. See core/late_views.py."""
        if view.is_late:
            view.rise(view.newest)
            self.wake(view)

    def deliver(self, listener: Listener, span: Span, counts: AccountCounts) -> int:
        """Write a span to one listener. Returns how many of its bytes were taken. `counts`: those of its account."""
        sent = listener.offer(span.data) if span.size else 0
        begun = span.begun(sent)
        self._count(counts, begun, span.bytes_of(begun))
        self.gaps += span.gap
        counts.gaps += span.gap
        return sent

    def _count(self, counts: AccountCounts, deliveries: int, octets: int) -> None:
        self.deliveries += deliveries
        self.octets += octets
        counts.deliveries += deliveries
        counts.delivered_bytes += octets

    def _start(self) -> None:
        # Never at once: see "Answers go first".
        if not self._is_set and (self._queue or self._behind):
            self._is_set = True
            self._call_soon(0, self._slice)

    def _slice(self) -> None:
        self._length = SLICE if self._is_news else min(self._length * 2, LONGEST)
        self._is_news = False
        self._is_set = False
        try:
            if self._queue:
                self._run_passes(self._clock() + self._length)
            if self._behind:
                self._catching_up.advance_some(self._clock() + SLICE)
        finally:
            if self._queue or self._behind:
                self._start()

    def _run_passes(self, end: float) -> None:
        while self._queue:
            view = self._queue[0]
            if not self._run_pass(view, end):
                self._queue.rotate(-1)  # the next slice goes on with another view, if one waits
                if self._others:
                    self._next_account()
                return
            view.is_queued = False
            view.pass_members = []
            view.spans = {}
            self._queue.popleft()
            if self._others:
                self._next_account()
            if self._clock() >= end:
                return

    def _run_pass(self, view: View, end: float) -> bool:  # noqa: C901, PLR0912, PLR0915 - one loop, because a call for each listener costs
        """Go on with the pass of a view. Returns True if all of its live listeners are at the head.

        A delivery costs one turn of the inner loop, besides the system's send().
        """
        while True:
            if view.pass_at >= len(view.pass_members):
                if not view.needs_pass:
                    return True
                view.needs_pass, view.pass_since = False, view.next_since
                view.pass_members = list(view.live)
                view.pass_at = 0
            part = view.pass_members[view.pass_at : view.pass_at + CHUNK]
            # Not by CHUNK: the last part can be shorter, and a listener that is appended behind it would be left out.
            view.pass_at += len(part)
            # The head of this moment: see "Late listeners get the pushes that came meanwhile".
            head, last, span = view.head, -1, None
            # To count each delivery by itself would be a tenth of this loop. So at each new span `takers` are all listeners
            # from here to the end of the part, and each branch in which one does not get the whole span corrects that.
            deliveries = octets = pushes = size_of_pushes = takers = 0
            for listener in part:
                if listener.view is not view:
                    takers -= 1
                    continue  # since the pass began it has asked for something else, or has a new right
                cursor = listener.cursor
                if cursor != last:
                    if cursor >= head:
                        takers -= 1
                        continue
                    span = view.span(cursor)
                    last = cursor
                    if span is None:
                        takers -= 1
                        self._diverge(listener)
                        last = -1
                        continue
                    if not span.is_for_all:
                        self._diverge_unwilling(view, span, cursor, part)
                    data, size, to = span.data, span.size, span.cursor
                    left = len(part) - part.index(listener)
                    if pushes:
                        deliveries += (takers - left) * pushes
                        octets += (takers - left) * size_of_pushes
                    takers, pushes = left, len(span.ends)
                    size_of_pushes = span.ends[-1][0] if pushes else 0  # `bytes_of`, without the call
                    if to < head:
                        view.needs_pass = True  # one write does not hold everything
                if (send := listener.send) is None:  # it is no longer live
                    takers -= 1
                    continue
                try:
                    sent = send(data)
                except OSError:  # EAGAIN, or a real error, which the reactor meets again. It ends the connection then.
                    sent = 0
                if sent == size:
                    listener.cursor = to
                else:
                    begun = span.begun(sent)  # type: ignore[union-attr]
                    takers -= 1
                    deliveries += begun
                    octets += span.bytes_of(begun)  # type: ignore[union-attr]
                    listener.cut_short(span, sent)  # type: ignore[arg-type]
            self._count(view.counts, deliveries + takers * pushes, octets + takers * size_of_pushes)
            now = self._clock()
            is_over = view.pass_at >= len(view.pass_members)
            if is_over:
                self.lag.observe(now - view.pass_since)
            if self.trace is not None:
                self.trace.written(view, deliveries + takers * pushes, is_over=is_over and not view.needs_pass)
            if now >= end:
                return False

    def _diverge(self, listener: Listener) -> None:
        """Take a listener out of the passes, because it is owed other bytes than its view."""
        if listener.state is State.LIVE:  # it can have stalled since the pass began
            listener.transition(Event.DIVERGED)
            self.catch_up(listener)

    def _diverge_unwilling(self, view: View, span: Span, cursor: int, part: list[Listener]) -> None:
        """Take the listeners of a part that filter a push of their span out of the passes. See "Filters"."""
        for listener in view.unwilling(span, cursor, part):
            self._diverge(listener)
