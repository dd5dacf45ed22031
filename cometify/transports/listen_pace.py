"""The pace of `listen` frames on one WebSocket. Theory of operation.

60 frames a minute are answered at once. Frames above that wait for their turn, and there is one turn a second. In a turn
the newest waiting frame is joined. It *replaces* those that waited before it, because each frame names the whole set of
identifiers. So a page that changes its set often is late by a second at most, and its connection stays. Pushes are not
held up: the listener stays in its view while its frames wait.

**Each frame is answered by one `ready`, in order**, a replaced frame too. A client counts these answers, and takes from each
the first cursors of the groups that it had asked for in that frame. So in its turn the newest frame is answered for all that
it replaces: they get their `ready` first, in the same write (`Joining.ready`). Such a `ready` tells what is true at that
moment, after the newest frame: it has the `secret` of the newest frame, and the positions from which the groups go on.

**A replaced frame joins nothing, but it ends what it leaves out.** A page may drop "b" and ask for it again with an internal
id, in two frames, to get a replay. If the frame without "b" is replaced, "b" would seem to be joined still, and would go
on without its replay. `Joining` therefore takes an identifier as joined only if every replaced frame names it.

Frames that wait take memory, and time in their turn. With `MOST_WAITING` of them, or with `MOST_NAMED` identifiers in them,
nothing further is read from the peer until the next turn. The turns of many connections can be due at the same moment. They
are taken one by one, each in a turn of the event loop (`Context.turns`).

With Redis a frame also waits until the one before it is answered. So nothing further is read while frames with `MOST_NAMED`
identifiers wait for that.
"""

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from cometify.core.listen_request import ListenRequest
from cometify.runtime.transport import Transport
from cometify.transports.context import Context

LISTENS = 60
"""The most `listen` frames in a minute that are answered at once."""
MINUTE = 60
"""Seconds."""
TURN = 1
"""Seconds between two answers above that."""
MOST_WAITING = 64
"""Frames that wait before the peer is no longer read from. One read can bring some more."""
MOST_NAMED = 2_000
"""Names in all groups of the waiting frames. Above it nothing further is read from the peer. The largest frame has 1,000, and
its `ready` takes half a millisecond."""


class PacedListener(Protocol):
    """The WebSocket whose frames these are. See `websocket.WebSocketListener`."""

    context: Context
    transport: Transport | None

    def listen(self, request: ListenRequest, replaced: Sequence[ListenRequest] = ()) -> None:
        """Answer a frame. Raises `Refused`."""

    def listen_in_turn(self, request: ListenRequest, replaced: Sequence[ListenRequest]) -> None:
        """Answer a frame that has waited. A refusal ends the connection."""


class ListenPace:
    """Made when the second frame comes, because most listeners send one alone. The first one is counted here too."""

    __slots__ = (
        "_answered_at",
        "_began",
        "_count",
        "_is_paused",
        "_listener",
        "_named",
        "_queued",
        "_turn",
        "_waiting",
    )

    def __init__(self, listener: PacedListener) -> None:
        self._listener = listener
        self._answered_at = self._began = listener.context.seconds()
        self._count = 1
        self._is_paused = False
        self._named = self._queued = 0
        self._turn: IDelayedCall | None = None
        self._waiting: list[ListenRequest] | None = None

    def take(self, request: ListenRequest) -> None:
        """Have a frame answered, now or in its turn. Raises `Refused`."""
        if self._waiting is not None:
            self._wait(self._waiting, request)
            return
        now = self._listener.context.seconds()
        delay = self._delay(now)
        if delay <= 0:
            self._count_answer(now)
            self._listener.listen(request)
        else:
            self._waiting, self._named = [], 0
            self._wait(self._waiting, request)
            self._turn = self._listener.context.later(delay, self._queue_turn)

    def _wait(self, waiting: list[ListenRequest], request: ListenRequest) -> None:
        waiting.append(request)
        self._named += _names_in(request)
        self._read_or_pause()

    def join_queue(self, request: ListenRequest) -> None:
        """Note a frame that waits until the one before it is answered, although it is not above the pace."""
        self._queued += _names_in(request)
        self._read_or_pause()

    def leave_queue(self, request: ListenRequest) -> None:
        """Note that it is its turn."""
        self._queued -= _names_in(request)
        self._read_or_pause()

    def stop(self) -> None:
        """Answer nothing further, because the connection ends. What the peer still sends is read."""
        if self._turn is not None and self._turn.active():
            self._turn.cancel()
        self._turn = self._waiting = None
        self._queued = 0
        self._read_or_pause()

    def _delay(self, now: float) -> float:
        """The seconds until the next frame is answered."""
        if now - self._began >= MINUTE:
            self._began, self._count = now, 0
        return 0 if self._count < LISTENS else self._answered_at + TURN - now

    def _count_answer(self, now: float) -> None:
        self._count += 1
        self._answered_at = now

    def _queue_turn(self) -> None:
        self._turn = None
        self._listener.context.turns.add("Answering listen frames", [self], lambda: ListenPace._take_turn, at_once=True)

    def _take_turn(self) -> None:
        if self._waiting is None:
            return  # the connection ends
        *replaced, newest = self._waiting
        self._waiting = None
        self._count_answer(self._listener.context.seconds())
        self._read_or_pause()
        self._listener.listen_in_turn(newest, replaced)

    def _read_or_pause(self) -> None:
        """Read from the peer only while few frames and names wait."""
        waiting, transport = self._waiting, self._listener.transport
        is_full = self._queued >= MOST_NAMED or (
            waiting is not None and (len(waiting) >= MOST_WAITING or self._named >= MOST_NAMED)
        )
        if transport is None or is_full is self._is_paused:
            return
        self._is_paused = is_full
        if is_full:
            transport.pauseProducing()
        else:
            transport.resumeProducing()


def _names_in(request: ListenRequest) -> int:
    return sum([len(group.names.folded) for group in request.groups])
