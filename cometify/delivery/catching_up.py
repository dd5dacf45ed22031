"""Catching up: each listener that is behind by itself gets the spans that it is owed, until it is at the head."""

from collections import deque
from collections.abc import Callable

from cometify.core.listener import Listener
from cometify.core.listener_state import State
from cometify.core.span import Span
from cometify.core.usage import AccountCounts
from cometify.core.view import View


class CatchingUp:
    """The part of the fan-out that serves listeners one by one. See its theory of operation.

    `behind`: the listeners that wait for their next write. Some may be gone by now, or have stalled. `deliver`, `settle`:
    those of the fan-out. `clock`: counts seconds.
    """

    def __init__(
        self,
        deliver: Callable[[Listener, Span, AccountCounts], int],
        settle: Callable[[View], None],
        clock: Callable[[], float],
    ) -> None:
        self._deliver = deliver
        self._settle = settle
        self._clock = clock
        self.behind: deque[Listener] = deque()

    def advance_some(self, end: float) -> None:
        """Write one span to each listener that is behind, and then begin again with the first.

        So a listener that is far behind does not hold up the others.
        """
        behind = self.behind
        for _ in range(len(behind)):
            listener = behind.popleft()
            if listener.state is State.BEHIND:
                self._advance(listener)
            if self._clock() >= end:
                return

    def _advance(self, listener: Listener) -> None:
        """Write the next span to a listener that is behind. It goes live if nothing is owed to it after that."""
        view = listener.view
        assert view is not None
        if view.late.exist:
            self._settle(view)  # it may go live below
        span = listener.owed()
        sent = self._deliver(listener, span, view.counts)
        if listener.state is State.GONE:
            return  # a poll ends with its first write
        if sent < span.size:
            listener.cut_short(span, sent)
            return
        listener.took(span, sent)
        if listener.state is not State.BEHIND:
            return  # the transport has taken everything, and has no room for more
        if listener.has_everything:
            listener.go_live()
        else:
            self.behind.append(listener)
