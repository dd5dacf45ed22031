"""A shorter turn of Twisted's epoll reactor, an order of reads, and answers that leave together.

The private names of `EPollReactor` are used in this module alone. A test holds a hash of the code that they stand for. A
reactor that has not all of them keeps its own turn.
"""

import time
from collections.abc import Callable
from select import EPOLLIN, EPOLLOUT, EPOLLRDHUP
from typing import Any

import attrs
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.log import callWithLogger

from cometify.runtime.reactor import Clock
from cometify.runtime.read_order import Event, Rank, ReadOrder, Waiting
from cometify.runtime.tcp import EagerServer
from cometify.runtime.transport import Transport

CallSoon = Callable[[float, Callable[[], None]], object]
"""The type of `callLater` where `seconds` is always 0: the call is made after the reads of this turn, before any wait."""

AT_ONCE = 1024
"""Events of one call of epoll_wait(), which takes 0.3 ms for so many."""
READABLE = (EPOLLIN, EPOLLIN | EPOLLRDHUP)  # the second tells of the end of a connection, and maybe of bytes before it
TOGETHER = 16
"""Reads between two writes of the batch: half a millisecond if each read is a push."""
LONGEST_WAIT = 0.001
"""Seconds of reads after which the batch is written although fewer than `TOGETHER` connections were read."""
NOTICED = 0.0001
"""Seconds of a read, below which it is not charged: three pushes. Most reads are shorter, and cost nothing to judge."""
SHARE = 0.01
"""The part of the server's time that a connection may have for its reads."""
COSTLY = 0.004
"""Seconds that a connection may have beyond its share. Above that it counts as costly."""
ALLOWANCE = COSTLY / SHARE
"""Seconds ahead, above which the time at which its reads are paid for makes a connection costly."""
MOST_CHARGED = 0.02
"""Seconds beyond its share with which a connection is charged at most. It is costly for 1.6 s at most after a long read."""
LONGEST_READS = 0.002
"""Seconds of a turn's reads, after which the rest waits for the next turn. A push waits for one or two turns while others
flood. With 4 ms a push took half as long again, and the server saved nothing by its fewer turns."""

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
    reactor.addReader = direct_poll.add_reader  # type: ignore[method-assign]
    return LoopHooks(direct_poll.call_soon, direct_poll.write_batch, direct_poll.longest_turn)


class DirectPoll:
    """A turn, to be called in place of `EPollReactor.doPoll`. It differs from that in five ways.

    - A read of an eager transport gets no logging context of its own. Making one costs as much as reading a small
      request (4 of 45 us a push). It only names the connection in old-style log lines, which are not written here.
    - A call that is due at once is not made a DelayedCall, which is put into a heap and taken out again (3 us each).
    - Answers are written in batches.
    - If many connections are ready, those that push are read before those that only listen: see `ReadOrder`. A turn ends after
      `LONGEST_READS`, and one batch of each rank is read in any case.
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

    epoll tells of an eager connection once, when bytes or the end come (`QUIETLY`). So a connection whose read has left
    something in the kernel must be read again without being told. That is the case if the read was full, or if the end has
    come behind its bytes. Once a connection has waited to write, Twisted registers it without `EPOLLET`, and epoll tells of it
    in each turn. That does no harm, because a connection that waits is not added twice.
    """

    def __init__(self, reactor: Any, seconds: Callable[[], float]) -> None:
        """Raises AttributeError if the reactor has other names inside."""
        self._poll: Callable[[float, int], list[Event]] = reactor._poller.poll
        self._register: Callable[[int, int], None] = reactor._poller.register
        self._selectables: dict[int, object] = reactor._selectables
        self._reads: set[int] = reactor._reads
        self._writes: set[int] = reactor._writes
        self._add_reader: Callable[[IReadDescriptor], None] = reactor.addReader
        self._read_or_write: Callable[[object, int, int], None] = reactor._doReadOrWrite
        self._disconnect: Callable[[object, object, bool], None] = reactor._disconnectSelectable
        self._seconds = seconds
        self._due: list[Callable[[], None]] = []
        # The end of the last wait for events, and the longest time from such an end to the next wait.
        self._woken_at = seconds()
        self._longest_turn = 0.0
        # Until this time a connection may be costly, so that most turns need not look for one.
        self._paid_until = 0.0
        # The events that wait for the next turn, and those of connections that were read and must be read again.
        self._order = ReadOrder(self._selectables, self._reads)
        self._again: list[Event] = []
        self.write_batch = WriteBatch()

    def call_soon(self, _seconds: float, call: Callable[[], None]) -> None:
        """Make a call at the end of this turn, or of the next one if this one is ending."""
        self._due.append(call)

    def longest_turn(self) -> float:
        """The seconds of the longest turn since the last call: reads, calls that were due, and timers."""
        longest, self._longest_turn = self._longest_turn, 0.0
        return longest

    def add_reader(self, reader: IReadDescriptor) -> None:
        """See IReactorFDSet. `epoll_bits` of an eager connection, and of a port that is shared, say how they are told of."""
        fd = reader.fileno()
        bits = getattr(reader, "epoll_bits", None)
        if bits is None or fd in self._reads or fd in self._writes:
            self._add_reader(reader)
            return
        self._register(fd, bits)
        self._reads.add(fd)
        self._selectables[fd] = reader

    def __call__(self, timeout: float | None) -> None:
        seconds, order = self._seconds, self._order
        if self.write_batch.has_any:
            self.write_batch.flush()  # answers to requests that timers have answered
        turn = seconds() - self._woken_at
        if turn > self._longest_turn:  # noqa: PLR1730 - max() takes twice the time, in every turn
            self._longest_turn = turn
        if order.has_any or self._due:
            timeout = 0
        events = self._poll(-1 if timeout is None else timeout, AT_ONCE)
        began = self._woken_at = seconds()
        if order.has_any or len(events) > TOGETHER or self._paid_until > began + ALLOWANCE:
            self._read_in_order(events, began)
        elif (done := self._read(events, began, began)) < len(events):
            order.add(events[done:])
        if self._again:
            order.add(self._again)
            self._again.clear()
        if self._due:
            self._call_due()

    def _read_in_order(self, events: list[Event], began: float) -> None:
        """Read some connections of each rank."""
        order = self._order
        order.begin_turn(began + ALLOWANCE, began)
        first = order.sort(events)
        if order.prompt:
            taken = order.take(order.prompt)
            read = self._read_by_turns(taken, began, patient=False)
            order.put_back(order.prompt, [waiting for waiting in taken if waiting not in read])
            first = order.still_there(first)
        self._read_some(order.likely, [], began)
        self._read_some(order.crowd, first, began)
        costly = order.costly()
        if costly:
            order.forget(self._read_by_turns(costly, began, patient=True))

    def _read_some(self, rank: Rank, taken: list[Waiting], began: float) -> None:
        """Read some of the connections of a rank, in the order of their arrival. `taken`: those that come first.

        To sort thousands would cost a tenth of their reads. No more are taken than are read, nearly always.
        """
        order = self._order
        while taken or rank:
            taken = taken or order.take(rank, TOGETHER)
            done = self._read([event for _connection, event in taken], began, self._seconds(), patient=True)
            if done < len(taken):
                order.put_back(rank, taken[done:])
            if done < len(taken) or self._due or self._seconds() - began > LONGEST_READS:
                return
            taken = []

    def _read_by_turns(self, waiting: list[Waiting], began: float, *, patient: bool) -> set[Waiting]:
        """See `ReadOrder.by_turns` and `_read`. Returns those that were read."""
        by_turns = self._order.by_turns(waiting)
        events = [event for _connection, event in by_turns]
        return set(by_turns[: self._read(events, began, self._seconds(), patient=patient)])

    def _read(self, events: list[Event], began: float, now: float, *, patient: bool = False) -> int:
        """Read at least once, and until the reads of this turn, which began at `began`, have taken too long.

        `now`: the time at which the first read begins. `patient`: stop also when a call is due. Returns how many events were
        served. The answers are written once `TOGETHER` connections were read, or `LONGEST_WAIT` has passed. Only then is it
        decided whether to go on.
        """
        selectables = self._selectables
        clock, batch = self._seconds, self.write_batch
        done, full, before = 0, TOGETHER, now
        late = now + LONGEST_WAIT
        for fd, event in events:
            if done >= full or before > late:
                batch.flush()
                # Calls that are due deliver what a read has pushed, so they do not wait for the crowd or for costly reads.
                if before - began > LONGEST_READS or (patient and self._due):
                    return done
                full, late = done + TOGETHER, before + LONGEST_WAIT
            done += 1
            selectable = selectables.get(fd)  # None if it was closed in this turn
            if event in READABLE and isinstance(selectable, EagerServer):
                try:
                    why: object = selectable.doRead()
                except BaseException as error:  # noqa: BLE001 - as in Twisted, this connection ends and not the server
                    log.failure("Unhandled error while reading; connection closed")
                    why = error
                if why or selectable.has_more or event != EPOLLIN:
                    self._go_on(selectable, fd, event, why)
                now = clock()
                if now - before > NOTICED:
                    self._charge(selectable, now - before, now)
                before = now
            elif selectable is not None:
                self._serve(selectable, fd, event)
                before = clock()
        if batch.has_any:
            batch.flush()
        return done

    def _go_on(self, connection: EagerServer, fd: int, event: int, why: object) -> None:
        """End a connection for the reason `why`, or read it again if there is none."""
        if why:
            self._disconnect(connection, why, True)
        elif fd in self._reads:
            self._again.append((fd, event))

    def _serve(self, selectable: object, fd: int, event: int) -> None:
        """Do as Twisted does: read, write, or end a connection."""
        callWithLogger(selectable, self._read_or_write, selectable, fd, event)
        if isinstance(selectable, EagerServer) and fd in self._reads and (selectable.has_more or event & EPOLLRDHUP):
            self._again.append((fd, event & ~EPOLLOUT))

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
