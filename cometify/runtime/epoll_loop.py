"""A shorter turn of Twisted's epoll reactor, and answers that leave together.

The private names of `EPollReactor` are used in this module alone. A test holds a hash of the code that they stand for. A
reactor that has not all of them keeps its own turn.
"""

import time
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger
from twisted.python.log import callWithLogger

from cometify.runtime.reactor import Clock
from cometify.runtime.tcp import EagerServer
from cometify.runtime.transport import Transport

CallSoon = Callable[[float, Callable[[], None]], object]
"""The type of `callLater` where `seconds` is always 0: the call is made after the reads of this turn, before any wait."""

AT_ONCE = 128
"""Events of one turn. When 10,000 clients come back at once there are thousands of events, which take a third of a second.
Heartbeats, slices of the fan-out and other calls that are due must come in between."""
TOGETHER = 16
"""Reads between two writes of the batch: half a millisecond if each read is a push."""
COSTLY = 0.005
"""Seconds of a read after which its connection counts as costly. A poll takes a twentieth of it. That matters because a
costly connection can be overtaken: a poll on it is then read behind the next poll of the same listener."""
LONGEST_READS = 0.005
"""Seconds of a turn's reads, after which the rest waits for the next turn."""

Event = tuple[int, int]
"""A file descriptor, and the bits of what it is ready for."""

log = Logger()


class WriteBatch:
    """Answers that are written one right after the other, once several connections were read.

    A peer that has many requests under way, as a proxy has, sleeps until it is answered, and waking it is most of the cost
    of a send(). Over 16 connections a push takes 4 of 28 us less when the peer is woken once for all of them.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Transport, bytes]] = []

    def put(self, transport: Transport, data: bytes) -> None:
        """Write within this turn. Nothing else may be written to the transport until then: it would go first."""
        self._waiting.append((transport, data))

    def flush(self) -> None:
        """Write all."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for transport, data in waiting:
                try:
                    transport.write(data)
                except Exception:  # noqa: BLE001 - the other answers must be written
                    log.failure("An answer of the batch could not be written")


@attrs.frozen
class LoopHooks:
    """Calls into a reactor's turn. `write_batch`: None if the reactor would not write it, and answers must be sent at once."""

    call_soon: CallSoon
    write_batch: WriteBatch | None = None


def install_direct_poll(reactor: Clock) -> LoopHooks:
    """Give an epoll reactor the shorter turn. Every other reactor keeps its own."""
    if type(reactor) is not EPollReactor:
        return LoopHooks(reactor.callLater)
    try:
        direct_poll = DirectPoll(reactor)
    except AttributeError as error:
        log.error(  # noqa: TRY400 - the reason is in the line
            "This Twisted has another epoll reactor, whose turns stay as they are: {error}", error=str(error)
        )
        return LoopHooks(reactor.callLater)
    reactor.doIteration = direct_poll  # type: ignore[method-assign]
    return LoopHooks(direct_poll.call_soon, direct_poll.write_batch)


class DirectPoll:
    """A turn, to be called in place of `EPollReactor.doPoll`. It differs from that in four ways.

    - A read of an eager transport gets no logging context of its own. Making one costs as much as reading a small
      request (4 of 45 us a push). It only names the connection in old-style log lines, which are not written here.
    - A call that is due at once is not made a DelayedCall, which is put into a heap and taken out again (3 us each).
    - Answers are written in batches.
    - Connections whose reads are costly wait. One read can hold ten thousand pings or half a megabyte of JSON, which takes
      as long as a thousand pushes. If ten peers send such reads all the time, each turn would have ten of them, and everybody
      would wait for all ten. So the connections whose last read was costly are read last. A turn reads at least one of
      them, and more only until its reads have taken `LONGEST_READS`. The others go first in the next turn, in their order.

    An event that waits for the next turn may be out of date then. That does no harm: reading a socket that has nothing is
    told by the kernel, and a descriptor that was closed is no longer known.
    """

    def __init__(self, reactor: Any) -> None:
        """Raises AttributeError if the reactor has other names inside."""
        self._poll: Callable[[float, int], list[Event]] = reactor._poller.poll
        self._selectables: dict[int, object] = reactor._selectables
        self._readable: int = reactor._POLL_IN
        self._read_or_write: Callable[[object, int, int], None] = reactor._doReadOrWrite
        self._disconnect: Callable[[object, object, bool], None] = reactor._disconnectSelectable
        self._due: list[Callable[[], None]] = []
        # Descriptors whose last read was costly. A closed one stays until its number is used again and the read is cheap.
        self._costly: set[int] = set()
        # Events that wait for the next turn, the oldest first: of cheap connections, and of costly ones.
        self._left: list[Event] = []
        self._left_costly: list[Event] = []
        self.write_batch = WriteBatch()

    def call_soon(self, _seconds: float, call: Callable[[], None]) -> None:
        """Make a call at the end of this turn, or of the next one if this one is ending."""
        self._due.append(call)

    def __call__(self, timeout: float | None) -> None:
        self.write_batch.flush()  # answers to requests that timers have answered
        if len(self._left) >= AT_ONCE:
            events = []  # enough for this turn
        else:
            if self._due or self._left or self._left_costly:
                timeout = 0
            # epoll puts the others first in the next turn.
            events = self._poll(-1 if timeout is None else timeout, AT_ONCE)
        began = time.perf_counter()
        if self._costly or self._left or self._left_costly:
            self._read_costly_last(events, began)
        else:
            self._left = self._read_all(events, began)
        if self._due:
            self._call_due()

    def _read_costly_last(self, events: list[Event], began: float) -> None:
        """Read the cheap connections, then at least one of the costly, and leave the rest for the next turn."""
        left, costly = self._left, self._left_costly
        known = {fd for fd, _event in left} | {fd for fd, _event in costly}
        new = [event for event in events if event[0] not in known]
        costly += [event for event in new if event[0] in self._costly]
        self._left = self._read_all(left + [event for event in new if event[0] not in self._costly], began)
        self._left_costly = self._read_all(costly, began)

    def _read_all(self, events: list[Event], began: float) -> list[Event]:
        """Read until the reads of this turn, which began at `began`, have taken too long. Returns the events left over."""
        for start in range(0, len(events), TOGETHER):
            done = self._read(events[start : start + TOGETHER], began)
            self.write_batch.flush()
            if done < min(TOGETHER, len(events) - start):
                return events[start + done :]
        return []

    def _read(self, events: list[Event], began: float) -> int:
        """Read at least once. Returns how many events were served until the time was over."""
        selectables, readable, costly = self._selectables, self._readable, self._costly
        clock = time.perf_counter
        before = clock()
        done = 0
        for fd, event in events:
            if before - began > LONGEST_READS and done:
                break
            done += 1
            selectable = selectables.get(fd)  # None if it was closed in this turn
            if event == readable and isinstance(selectable, EagerServer):
                try:
                    why: object = selectable.doRead()
                except BaseException as error:  # noqa: BLE001 - as in Twisted, this connection ends and not the server
                    log.failure("Unhandled error while reading; connection closed")
                    why = error
                if why:
                    self._disconnect(selectable, why, True)
                now = clock()
                if now - before > COSTLY:
                    costly.add(fd)
                elif costly:
                    costly.discard(fd)
                before = now
            elif selectable is not None:
                callWithLogger(selectable, self._read_or_write, selectable, fd, event)
                before = clock()
        return done

    def _call_due(self) -> None:
        calls, self._due = self._due, []  # calls that these ask for are due in the next turn
        for call in calls:
            try:
                call()
            except Exception:  # noqa: BLE001 - as in Twisted, the other calls must be made
                log.failure("Deferred call failed")
