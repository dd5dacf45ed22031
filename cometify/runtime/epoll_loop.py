"""A turn of the reactor, with less around each read and around each slice of the sweep, and answers that leave together."""

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger
from twisted.python.log import callWithLogger

from cometify.runtime.tcp import EagerServer

CallSoon = Callable[[float, Callable[[], None]], object]
"""As callLater, but `seconds` is 0: after what is being read now, and before anything is waited for."""

AT_ONCE = 128
"""Events of one turn. When 10,000 come back at once there are thousands, which take a third of a second: heartbeats, slices
of the sweep and what else is due go in between."""
TOGETHER = 16
"""Reads between two looks at the outbox: half a millisecond if each is a push."""

log = Logger()


class WriteBatch:
    """Answers that wait until what else there is has been read, and are written one right after the other.

    A peer that has many requests under way, as a proxy has, sleeps until it is answered, and to wake it is most of what
    a send() costs: over 16 connections a push takes 4 of 28 us less when it is woken once for all of them.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[EagerServer, bytes]] = []

    def put(self, transport: EagerServer, data: bytes) -> None:
        """Write within this turn. Nothing else may be written to the transport until then."""
        self._waiting.append((transport, data))

    def flush(self) -> None:
        """Write all."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for transport, data in waiting:
                try:
                    transport.write(data)
                except Exception:  # noqa: BLE001 - the others are to have theirs
                    log.failure("An answer could not be written")


@attrs.frozen
class LoopHooks:
    """What a reactor does at the end of its turn. `write_batch`: None if answers are to be written at once."""

    call_soon: CallSoon
    write_batch: WriteBatch | None = None


def install_direct_poll(reactor: Any) -> LoopHooks:
    """Give an epoll reactor the short turn; every other one keeps its own."""
    if type(reactor) is not EPollReactor:
        return LoopHooks(reactor.callLater)
    try:
        loop_hooks: Any = DirectPoll(reactor)
    except AttributeError as error:
        log.error(  # noqa: TRY400 - the reason is in the line
            "This Twisted has another epoll reactor, whose turns stay as they are: {error}", error=str(error)
        )
        return LoopHooks(reactor.callLater)
    reactor.doIteration = loop_hooks  # type: ignore[method-assign]
    return LoopHooks(loop_hooks.call_soon, loop_hooks.write_batch)


class DirectPoll:
    """Instead of EPollReactor.doPoll.

    - A read of an eager transport gets no logging context of its own. Making one costs as much as reading a small
      request (4 of 45 us a push), and it would name the connection in lines of the log that nobody here writes.
    - What is due at once is no DelayedCall, put into a heap and taken out again (3 us a slice).
    """

    def __init__(self, reactor: Any) -> None:
        self._poll = reactor._poller.poll
        self._selectables = reactor._selectables
        self._readable = reactor._POLL_IN
        self._read_or_write = reactor._doReadOrWrite
        self._disconnect = reactor._disconnectSelectable
        self._due: list[Callable[[], None]] = []
        self.write_batch = WriteBatch()

    def call_soon(self, _seconds: float, call: Callable[[], None]) -> None:
        """Have `call` called at the end of this turn, or of the next one if this one is ending."""
        self._due.append(call)

    def __call__(self, timeout: float | None) -> None:
        self.write_batch.flush()  # of what was answered outside of reads
        if self._due:
            timeout = 0
        events = self._poll(-1 if timeout is None else timeout, AT_ONCE)  # the others come first in the next turn
        for start in range(0, len(events), TOGETHER):
            self._read(events[start : start + TOGETHER])
            self.write_batch.flush()
        if self._due:
            self._do_what_is_due()

    def _read(self, events: list[tuple[int, int]]) -> None:
        selectables, readable = self._selectables, self._readable
        for fd, event in events:
            selectable = selectables.get(fd)  # or it has gone in this turn
            if event == readable and isinstance(selectable, EagerServer):
                try:
                    why: Any = selectable.doRead()
                except BaseException as error:  # noqa: BLE001 - as the reactor has it: this connection ends, not the server
                    log.failure("A connection is ended, for what it sent could not be dealt with")
                    why = error
                if why:
                    self._disconnect(selectable, why, True)
            elif selectable is not None:
                callWithLogger(selectable, self._read_or_write, selectable, fd, event)

    def _do_what_is_due(self) -> None:
        calls, self._due = self._due, []  # what they ask for is for the next turn
        for call in calls:
            try:
                call()
            except Exception:  # noqa: BLE001 - as the reactor has it
                log.failure("What was due at once could not be done")
