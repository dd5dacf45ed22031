"""A shorter turn of Twisted's epoll reactor, and answers that leave together.

The private names of `EPollReactor` are used in this module alone. A test holds a hash of the code that they stand for. A
reactor that has not all of them keeps its own turn.
"""

import time
from collections.abc import Callable
from itertools import chain
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
LONGEST_WAIT = 0.002
"""Seconds of reads after which the batch is written although fewer than `TOGETHER` connections were read."""
NOTICED = 0.0001
"""Seconds of a read, below which it is not charged: three pushes. Most reads are shorter, and cost nothing to judge."""
SHARE = 0.01
"""The part of the server's time that a connection may have for its reads."""
COSTLY = 0.004
"""Seconds that a connection may have beyond its share. Above that it counts as costly."""
MOST_CHARGED = 0.02
"""Seconds beyond its share with which a connection is charged at most. So it is costly for at most 1.6 s after its last
long read."""
LONGEST_READS = 0.004
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
        self.has_any = False
        """True if something waits to be written."""

    def put(self, transport: Transport, data: bytes) -> None:
        """Write within this turn. Nothing else may be written to the transport until then: it would go first."""
        self._waiting.append((transport, data))
        self.has_any = True

    def flush(self) -> None:
        """Write all."""
        waiting, self._waiting, self.has_any = self._waiting, [], False
        for transport, data in waiting:
            try:
                transport.write(data)
            except Exception:  # noqa: BLE001 - the other answers must be written
                log.failure("An answer of the batch could not be written")


@attrs.frozen
class LoopHooks:
    """Calls into a reactor's turn. `write_batch`: None if the reactor would not write it, and answers must be sent at once.

    `longest_turn`: the seconds of the longest turn since it was last called. None if the reactor does not measure its turns.
    """

    call_soon: CallSoon
    write_batch: WriteBatch | None = None
    longest_turn: Callable[[], float] | None = None


def install_direct_poll(reactor: Clock, seconds: Callable[[], float] = time.perf_counter) -> LoopHooks:
    """Give an epoll reactor the shorter turn. Every other reactor keeps its own. `seconds`: the clock that measures reads."""
    if type(reactor) is not EPollReactor:
        return LoopHooks(reactor.callLater)
    try:
        direct_poll = DirectPoll(reactor, seconds)
    except AttributeError as error:
        log.error(  # noqa: TRY400 - the reason is in the line
            "This Twisted has another epoll reactor, whose turns stay as they are: {error}", error=str(error)
        )
        return LoopHooks(reactor.callLater)
    reactor.doIteration = direct_poll  # type: ignore[method-assign]
    return LoopHooks(direct_poll.call_soon, direct_poll.write_batch, direct_poll.longest_turn)


class DirectPoll:
    """A turn, to be called in place of `EPollReactor.doPoll`. It differs from that in four ways.

    - A read of an eager transport gets no logging context of its own. Making one costs as much as reading a small
      request (4 of 45 us a push). It only names the connection in old-style log lines, which are not written here.
    - A call that is due at once is not made a DelayedCall, which is put into a heap and taken out again (3 us each).
    - Answers are written in batches.
    - Connections whose reads are costly wait. One read can hold hundreds of pings, or the end of a body that takes as long
      to parse as a thousand pushes. If ten peers send such reads all the time, each turn would have ten of them, and everybody
      would wait for all ten. So costly connections are read last. A turn reads at least one of them, and more only until its
      reads have taken `LONGEST_READS`. They are read by turns: one that is paid for soonest, then one that has waited longest.
      So a connection that is costly by a little does not wait for ten that are costly by much. And one that is costly by much
      does not wait until ten new connections have become as costly.

    A connection is **costly** if its reads took more than its share of the time. Its last read alone does not decide,
    because a body comes in many reads and only the last is expensive, and a peer can send bytes one by one.
    `EagerServer.paid_until` is the time at which the share of its connection has paid for its reads. A read of 1 ms moves
    it by 100 ms, from now on if it has passed. A connection is costly while that time is more than 400 ms ahead. Reads are
    measured in wall time, because asking for the CPU time would cost a tenth of a small read. So a read that is preempted
    is charged too much.

    An event that waits for the next turn may be out of date then. That does no harm: reading a socket that has nothing is
    told by the kernel, and a descriptor that was closed is no longer known.
    """

    def __init__(self, reactor: Any, seconds: Callable[[], float]) -> None:
        """Raises AttributeError if the reactor has other names inside."""
        self._poll: Callable[[float, int], list[Event]] = reactor._poller.poll
        self._selectables: dict[int, object] = reactor._selectables
        self._readable: int = reactor._POLL_IN
        self._read_or_write: Callable[[object, int, int], None] = reactor._doReadOrWrite
        self._disconnect: Callable[[object, object, bool], None] = reactor._disconnectSelectable
        self._seconds = seconds
        self._due: list[Callable[[], None]] = []
        # The end of the last wait for events, and the longest time from such an end to the next wait.
        self._woken_at = seconds()
        self._longest_turn = 0.0
        # Until this time a connection may be costly, so that most turns need not look for one.
        self._paid_until = 0.0
        # Events that wait for the next turn, the oldest first: of cheap connections, and of costly ones.
        self._left: list[Event] = []
        self._left_costly: list[Event] = []
        self._is_left = False
        self._oldest_first = False
        self.write_batch = WriteBatch()

    def call_soon(self, _seconds: float, call: Callable[[], None]) -> None:
        """Make a call at the end of this turn, or of the next one if this one is ending."""
        self._due.append(call)

    def longest_turn(self) -> float:
        """The seconds of the longest turn since the last call: reads, calls that were due, and timers."""
        longest, self._longest_turn = self._longest_turn, 0.0
        return longest

    def __call__(self, timeout: float | None) -> None:
        seconds = self._seconds
        if self.write_batch.has_any:
            self.write_batch.flush()  # answers to requests that timers have answered
        turn = seconds() - self._woken_at
        if turn > self._longest_turn:  # noqa: PLR1730 - max() takes twice the time, in every turn
            self._longest_turn = turn
        if self._is_left or self._due:
            # epoll puts the others first in the next turn.
            events = self._poll(0, AT_ONCE) if len(self._left) < AT_ONCE else []
        else:
            events = self._poll(-1 if timeout is None else timeout, AT_ONCE)
        began = self._woken_at = seconds()
        if self._is_left or self._paid_until > began + COSTLY / SHARE:
            self._read_costly_last(events, began)
        elif (done := self._read(events, began, began)) < len(events):
            self._left, self._is_left = events[done:], True
        if self._due:
            self._call_due()

    def _read_costly_last(self, events: list[Event], began: float) -> None:
        """Read the cheap connections, then at least one of the costly, and leave the rest for the next turn."""
        left = self._left_costly + self._left
        known = {fd for fd, _event in left}
        events = left + [event for event in events if event[0] not in known]
        # Those that wait are judged again, because a connection can have become costly by its last read, or cheap by waiting.
        costly = self._costly(events, began + COSTLY / SHARE)
        cheap = [event for event in events if event[0] not in costly]
        by_age = [event for event in events if event[0] in costly]
        by_charge = sorted(by_age, key=lambda event: costly[event[0]])
        self._oldest_first = not self._oldest_first
        pairs = zip(by_age, by_charge, strict=True) if self._oldest_first else zip(by_charge, by_age, strict=True)
        in_order = list(dict.fromkeys(chain.from_iterable(pairs)))
        self._left = cheap[self._read(cheap, began, self._seconds()) :]
        read = set(in_order[: self._read(in_order, began, self._seconds(), costly=True)])
        self._left_costly = [event for event in by_age if event not in read]
        self._is_left = bool(self._left or self._left_costly)

    def _costly(self, events: list[Event], most: float) -> dict[int, float]:
        """Descriptors of events whose reads are paid for later than `most`, each with the time at which they are paid for."""
        if self._paid_until <= most:
            return {}
        selectables = self._selectables
        paid_until = {fd: getattr(selectables.get(fd), "paid_until", 0.0) for fd, _event in events}
        return {fd: seconds for fd, seconds in paid_until.items() if seconds > most}

    def _read(self, events: list[Event], began: float, now: float, *, costly: bool = False) -> int:
        """Read at least once, and until the reads of this turn, which began at `began`, have taken too long.

        `now`: the time at which the first read begins. `costly`: stop also when a call is due. Returns how many events were
        served. The answers are written once `TOGETHER` connections were read, or `LONGEST_WAIT` has passed. Only then is it
        decided whether to go on.
        """
        selectables, readable = self._selectables, self._readable
        clock, batch = self._seconds, self.write_batch
        done, full, before = 0, TOGETHER, now
        late = now + LONGEST_WAIT
        for fd, event in events:
            if done >= full or before > late:
                batch.flush()
                # Calls that are due deliver what a read has pushed, so they do not wait for more costly reads.
                if before - began > LONGEST_READS or (costly and self._due):
                    return done
                full, late = done + TOGETHER, before + LONGEST_WAIT
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
                if now - before > NOTICED:
                    self._charge(selectable, now - before, now)
                before = now
            elif selectable is not None:
                callWithLogger(selectable, self._read_or_write, selectable, fd, event)
                before = clock()
        if batch.has_any:
            batch.flush()
        return done

    def _charge(self, connection: EagerServer, seconds: float, now: float) -> None:
        """Let a connection pay for a read that took so many seconds."""
        paid_until = max(connection.paid_until, now) + seconds / SHARE
        connection.paid_until = min(paid_until, now + MOST_CHARGED / SHARE)
        self._paid_until = max(self._paid_until, connection.paid_until)

    def _call_due(self) -> None:
        calls, self._due = self._due, []  # calls that these ask for are due in the next turn
        for call in calls:
            try:
                call()
            except Exception:  # noqa: BLE001 - as in Twisted, the other calls must be made
                log.failure("Deferred call failed")
