"""What happens because time passes: heartbeats, and the end of listeners that do not read."""

from twisted.logger import Logger

from cometify.core import errors
from cometify.core.frames import heartbeat_frame
from cometify.core.listener import Listener
from cometify.core.listener_state import State
from cometify.core.view import View

PATIENCE = 60
"""Seconds in which a listener must read something while something waits for it."""

log = Logger()


class HeartbeatWheel:
    """To be ticked once a second.

    A listener gets its heartbeat `heartbeat` ticks after it joined and every so many from then on: each in its slot,
    so that the work is spread as the joinings were. A poller stays in its slot between two polls, and is moved when that
    is due: two operations on a dictionary for each poll were a tenth of it.
    """

    def __init__(self, heartbeat: int) -> None:
        self.heartbeat = heartbeat
        self._slots: list[dict[Listener, None]] = [{} for _ in range(heartbeat)]
        self._ticks = 0
        self._stalled: dict[Listener, tuple[int, int]] = {}
        self.sent_count = 0
        """How many heartbeats were sent because it was time; those at the end of a replay are the sweep's."""

    @property
    def stalled(self) -> int:
        """How many listeners do not read what waits for them."""
        return sum(listener.state is State.STALLED for listener in self._stalled)

    def add(self, listener: Listener) -> None:
        """Begin to count anew for the listener."""
        listener.beat_from = self._ticks
        if listener.beat_at < 0:
            self._put(listener)

    def _put(self, listener: Listener) -> None:
        listener.beat_at = listener.beat_from % self.heartbeat
        self._slots[listener.beat_at][listener] = None

    def discard(self, listener: Listener) -> None:
        """The listener is gone."""
        if listener.beat_at >= 0:
            self._slots[listener.beat_at].pop(listener, None)
            listener.beat_at = -1
        self._stalled.pop(listener, None)

    def watch(self, listener: Listener) -> None:
        """The listener has stalled: it will be looked at until it reads again."""
        self._stalled[listener] = (0, -1)

    def tick(self) -> None:
        """A second has passed."""
        self._ticks += 1
        at = self._ticks % self.heartbeat
        frames: dict[View, tuple[bytes, int]] = {}
        for listener in list(self._slots[at]):
            try:
                self._look(listener, at, frames)
            except Exception:  # noqa: BLE001 - whatever is wrong with one, the others have theirs
                log.failure("A listener could not be given its heartbeat")
                self.discard(listener)
        self._look_after_stalled()

    def _look(self, listener: Listener, at: int, frames: dict[View, tuple[bytes, int]]) -> None:
        """See to a listener in the slot that is due. `frames`: the heartbeats that were made for it."""
        view = listener.view
        if listener.state is State.GONE:
            self.discard(listener)
        elif listener.beat_from % self.heartbeat != at:  # it has begun anew since it was put here
            del self._slots[at][listener]
            self._put(listener)
        elif listener.state is State.LIVE and view is not None and listener.cursor >= view.head:
            if view not in frames:
                frames[view] = _encoded(view)
            heartbeat, position = frames[view]
            listener.beat(heartbeat)
            listener.sent_up_to = position
            self.sent_count += 1
        elif self.heartbeat > 1:  # being brought to the head: there is something on its way
            del self._slots[at][listener]
            listener.beat_from += 1
            self._put(listener)

    def _look_after_stalled(self) -> None:
        for listener, (waited, before) in list(self._stalled.items()):
            if listener.state is not State.STALLED:
                self._stalled.pop(listener, None)
                continue
            unread = listener.unread()
            ticks = waited + 1 if unread == before else 0
            self._stalled[listener] = (ticks, unread)
            if ticks >= PATIENCE:
                listener.end(
                    errors.Refused(
                        errors.TOO_SLOW,
                        f"Nothing was read for {PATIENCE} seconds while pushes waited: come back, with the last position.",
                    )
                )


def _encoded(view: View) -> tuple[bytes, int]:
    """A heartbeat, and its position."""
    position = max(view.watermark(), view.head)
    return view.encoding.encode(heartbeat_frame(position), position), position
