"""Heartbeats, and the end of listeners that do not read.

The wheel is a timer wheel: a ring of slots, one for each second of the heartbeat interval. A tick each second moves to
the next slot, whose listeners are due. Entering and leaving a slot is one operation on a dictionary, whereas a timer for
each listener would be put into a heap and taken out again.

    heartbeat = 25 s, tick 130: slot 130 % 25 = 5 is due

    slot    0  1  2  3  4 [5] 6 ... 24
            .  .  A  .  .  B  .      .     B joined at tick 5, 30, 55, 80 or 105

All listeners that join within one second share a slot. After a restart this can be nearly all of them, so a tick only
hands the slot to `SlicedWork`, which serves it in steps.
"""

from collections.abc import Callable, Iterator
from functools import partial

from cometify.core import errors
from cometify.core.frames import heartbeat_frame
from cometify.core.listener import Listener
from cometify.core.listener_state import State
from cometify.core.view import View
from cometify.runtime.epoll_loop import CallSoon
from cometify.runtime.slices import SlicedWork

PATIENCE = 60
"""Seconds after which a listener is ended if it reads nothing while bytes wait for it."""


class HeartbeatWheel:
    """Call `tick` once a second. `call_soon(0, function)` makes a call in the next turn.

    A listener gets a heartbeat `heartbeat` ticks after it joined, and every `heartbeat` ticks from then on. A poller
    stays in its slot between two polls. It is moved when the slot is due, because entering and leaving the wheel for
    each poll cost a tenth of the poll.
    """

    def __init__(self, heartbeat: int, call_soon: CallSoon) -> None:
        self.heartbeat = heartbeat
        self.sent_count = 0
        """The number of heartbeats that were sent because they were due. The fan-out sends those at the end of a replay."""
        self._slots: list[dict[Listener, None]] = [{} for _ in range(heartbeat)]
        self._ticks = 0
        # For each stalled listener the number of bytes that wait for it, and the tick since which the number is the same.
        self._stalled: dict[Listener, tuple[int, int]] = {}
        self._work = SlicedWork(call_soon, Listener.in_words)

    @property
    def stalled(self) -> int:
        """The number of listeners that do not read the bytes that wait for them."""
        return sum(listener.state is State.STALLED for listener in self._stalled)

    @property
    def ticks(self) -> int:
        """The seconds that this wheel has turned."""
        return self._ticks

    def waiting(self) -> Iterator[tuple[Listener, int]]:
        """Iterate over the listeners that do not read, each with the seconds for which it has read nothing."""
        for listener, (_unread, since) in self._stalled.items():
            if listener.state is State.STALLED:
                yield listener, self._ticks - since

    def add(self, listener: Listener) -> None:
        """Begin the listener's interval now."""
        listener.beat_from = self._ticks
        if listener.beat_at < 0:
            self._put(listener)

    def _put(self, listener: Listener) -> None:
        listener.beat_at = listener.beat_from % self.heartbeat
        self._slots[listener.beat_at][listener] = None

    def _move(self, listener: Listener) -> None:
        """Move a listener to the slot of its `beat_from`."""
        del self._slots[listener.beat_at][listener]
        self._put(listener)

    def discard(self, listener: Listener) -> None:
        """Forget a listener that is gone."""
        if listener.beat_at >= 0:
            self._slots[listener.beat_at].pop(listener, None)
            listener.beat_at = -1
        self._stalled.pop(listener, None)

    def watch(self, listener: Listener) -> None:
        """Look after a listener that has stalled, until it reads again or `PATIENCE` is over."""
        self._stalled[listener] = (-1, self._ticks)

    def tick(self) -> None:
        """Begin the work of a second. It is done in steps, from the next turn of the event loop on."""
        self._ticks += 1
        slot = self._slots[self._ticks % self.heartbeat]
        if slot:
            self._work.add("Heartbeat", slot, partial(self._begin_step, self._ticks))
        if self._stalled:
            check = partial(self._check, self._ticks)
            self._work.add("Check of a stalled listener", self._stalled, lambda: check)

    def _begin_step(self, tick: int) -> Callable[[Listener], None]:
        # The encoded heartbeats are shared within a step only, because a heartbeat must tell the position of the moment at
        # which it is sent. In a later step it would send a listener back to a position that the listener had left.
        frames: dict[View, tuple[bytes, int]] = {}
        return partial(self._serve, tick, frames)

    def _serve(self, tick: int, frames: dict[View, tuple[bytes, int]], listener: Listener) -> None:
        """Serve a listener that was in the slot of `tick` at that tick."""
        if listener.beat_at != tick % self.heartbeat:
            return  # it is gone or was moved since
        try:
            self._beat(tick, frames, listener)
        except Exception:
            self.discard(listener)
            raise

    def _beat(self, tick: int, frames: dict[View, tuple[bytes, int]], listener: Listener) -> None:
        view = listener.view
        if listener.state is State.GONE:
            self.discard(listener)
        elif (listener.beat_from - tick) % self.heartbeat:
            self._move(listener)  # its interval began again since it was put here
        elif listener.beat_from >= tick:
            return  # its interval began again while the slot waited for this step: it is due in a whole interval
        elif listener.state is State.LIVE and view is not None and listener.cursor >= view.head and not view.is_late:
            if view not in frames:
                frames[view] = _encoded(view)
            heartbeat, position = frames[view]
            listener.beat(heartbeat)
            listener.sent_up_to = position
            self.sent_count += 1
        else:
            # A heartbeat promises everything up to its position, and the listener is still catching up. Make the heartbeat
            # due at the next tick.
            listener.beat_from = self._ticks + 1 - self.heartbeat
            self._move(listener)

    def _check(self, tick: int, listener: Listener) -> None:
        """End a listener that has read nothing for `PATIENCE` seconds."""
        if listener.state is not State.STALLED:
            self._stalled.pop(listener, None)
            return
        unread, (before, since) = listener.unread(), self._stalled[listener]
        if unread != before:
            self._stalled[listener] = (unread, tick)
        elif tick - since >= PATIENCE:
            listener.end(
                errors.Refused(
                    errors.TOO_SLOW,
                    f"Nothing was read for {PATIENCE} seconds while pushes waited. Read faster, and reconnect with the "
                    "last position.",
                )
            )


def _encoded(view: View) -> tuple[bytes, int]:
    """Encode a heartbeat of this moment. Returns the bytes and the position that they tell."""
    position = max(view.watermark(), view.head)
    return view.encoding.encode(heartbeat_frame(position), position), position
