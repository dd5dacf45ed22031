"""The connections that are ready to be read, and the order in which they are."""

import math
import socket
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, islice, zip_longest
from select import EPOLLIN, EPOLLOUT, EPOLLRDHUP

from cometify.runtime.descriptors import most_descriptors
from cometify.runtime.left_peers import LEFT
from cometify.runtime.tcp import EagerPort, EagerServer

Event = tuple[int, int]
"""A file descriptor, and the bits of what it is ready for."""
Waiting = tuple[object, Event]
"""A connection, or something else with a descriptor, and what it is ready for."""
Rank = OrderedDict[object, Event]
"""Connections that wait, the oldest first."""

AT_MOST = 64
"""Connections of a rank that are taken at once: about as many as can be read in a turn."""
MOST_COSTLY = 64
"""Costly connections, and as many handshakes, that are looked at in a turn. Few of them are read in it."""
FEW = 4096
"""Clients that may wait for a read in any case. Above that they may be half of the file descriptors, and others wait in the
kernel."""
LATE = 2.5
"""Seconds that clients in the crowd wait to be read, above which ports accept one connection in a turn: half of the time that a
client waits for its first frame."""
LATE_IN_STORM = 0.5
"""The same in a storm (`left_peers`). Then many wait in the kernel already, and those who come from there are late."""
CROWDED = 64
"""Connections in the crowd, above which it is worth a system call to find one that pushes."""
LOOKED_AT = 128
"""Bytes of a request that are looked at to find a push: the method and the target."""


class ReadOrder:
    """The events that wait for a read, by the rank of their connections.

    - **Prompt** are connections that have pushed, those of the admin endpoint, everything that waits to write, and everything
      that is not a client: listening ports, Redis, other processes.
    - **Likely** are connections whose first request looks like a push. They are looked for only if the crowd is large.
    - **The crowd** are all other clients. A listener says little, but all of them may say it in one moment: 20,000 come back
      after a restart. Their reads take a second, and pushes must not stand in line behind them.
    - **Costly** are connections whose reads took more than their share of the time: see `epoll_loop.DirectPoll`. **Handshakes**
      are costly too, but 20,000 may wait for their first read. So they are kept apart, and one that has begun does not wait for
      all that have not.

    An event may be out of date when it is taken. Reading a socket that has nothing does no harm, because the kernel tells. But
    a descriptor may be another connection's meanwhile. So events are kept by the connection, and those of a connection that is
    closed, or is not read at present, are dropped.
    """

    def __init__(self, selectables: dict[int, object], reads: set[int]) -> None:
        """`selectables` and `reads`: the reactor's own."""
        self._selectables = selectables
        self._reads = reads
        self.prompt: Rank = OrderedDict()
        self.likely: Rank = OrderedDict()
        self.crowd: Rank = OrderedDict()
        self._costly: Rank = OrderedDict()
        self._handshakes: Rank = OrderedDict()
        self._ranks = (self.prompt, self.likely, self.crowd, self._costly, self._handshakes)
        self._oldest_first = False
        self._most = 0.0
        # Those who come into the crowd are numbered. One of them is awaited, since a known time, and measures the wait of all.
        # 0: nobody is awaited.
        self._came = self._awaited = 0
        self._since = self._looked_at = self._waited = 0.0
        self.has_any = False
        """True if something waits."""

    def add(self, events: Iterable[Event]) -> None:
        """Put new events behind the others of their rank. A connection that waits already keeps its place."""
        self.sort(events, 0)

    def sort(self, events: Iterable[Event], most: int = AT_MOST) -> list[Waiting]:
        """Do as `add`, but if nothing waits in the crowd, return up to `most` connections that would be the first in it.

        They are read in this turn. To put them into a rank and to take them out again would take a tenth of the time of a poll.
        """
        selectables, crowd = self._selectables, self.crowd
        at_once: list[Waiting] = []
        if crowd:
            most = 0
        for event in events:
            fd, bits = event
            selectable = selectables.get(fd)
            if isinstance(selectable, EagerServer):
                rank = selectable.waits_in
                if rank is None:
                    rank = self._rank_for(selectable, bits)
                    if rank is crowd and len(at_once) < most:
                        at_once.append((selectable, event))
                        continue
                    selectable.waits_in = rank
                    rank[selectable] = event
                    if rank is crowd:
                        self._came += 1
                    continue
                bits |= rank[selectable][1]
                if bits & EPOLLOUT and (rank is crowd or rank is self.likely):
                    del rank[selectable]
                    rank = selectable.waits_in = self.prompt
                rank[selectable] = fd, bits
            elif selectable is not None and not (isinstance(selectable, EagerPort) and self._is_full):
                if self._waited > LATE_IN_STORM and isinstance(selectable, EagerPort) and self._is_late(selectable):
                    selectable.numberAccepts = 1
                earlier = self.prompt.get(selectable)
                self.prompt[selectable] = event if earlier is None else (fd, bits | earlier[1])
            # A port that is left out is told of again in the next turn.
        self._note()
        return at_once

    def still_there(self, waiting: list[Waiting]) -> list[Waiting]:
        """Return those that no read of this turn has closed or paused."""
        return [one for one in waiting if self._current(*one)]

    def begin_turn(self, most: float, now: float) -> None:
        """Let costly connections that have waited long enough be cheap ones, and forget those that are closed.

        `most`: a connection is costly if its reads are paid for later. `now`: seconds of that clock. The oldest `MOST_COSTLY`
        of each rank are looked at.
        """
        self._most = most
        self._measure(now)
        self._oldest_first = not self._oldest_first
        for rank in (self._costly, self._handshakes):
            for selectable, event in list(islice(rank.items(), MOST_COSTLY)):
                assert isinstance(selectable, EagerServer)  # nothing else is costly
                current = self._current(selectable, event)
                if not current:
                    del rank[selectable]
                    selectable.waits_in = None
                elif selectable.paid_until <= most:
                    del rank[selectable]
                    selectable.waits_in = self._rank_for(selectable, current[1])
                    selectable.waits_in[selectable] = current
                    self._came += selectable.waits_in is self.crowd

    def take(self, rank: Rank, most: int = AT_MOST) -> list[Waiting]:
        """Remove up to `most` connections of a rank, and return them, the oldest first. Costly ones go to their own rank."""
        taken: list[Waiting] = []
        paid_until, selectables, reads = self._most, self._selectables, self._reads
        for _ in range(min(len(rank), most)):
            selectable, event = waiting = rank.popitem(last=False)
            client = selectable if isinstance(selectable, EagerServer) else None
            if client is not None:
                client.waits_in = None
            fd, bits = event
            if selectables.get(fd) is not selectable or fd not in reads:
                current = self._current(selectable, event)
                if not current:
                    continue
                waiting, bits = (selectable, current), current[1]
            if client is not None and client.paid_until > paid_until and bits & EPOLLIN:
                client.waits_in = self._handshakes if client.paid_until == math.inf else self._costly
                client.waits_in[client] = waiting[1]
            else:
                taken.append(waiting)
        self._note()
        return taken

    def put_back(self, rank: Rank, unread: list[Waiting]) -> None:
        """Put connections that were taken, and for which there was no time, before the others of their rank."""
        for selectable, event in reversed(unread):
            rank[selectable] = event
            rank.move_to_end(selectable, last=False)
            if isinstance(selectable, EagerServer):
                selectable.waits_in = rank
        self._note()

    def costly(self) -> list[Waiting]:
        """Return up to `MOST_COSTLY` of the costly connections, and as many of the handshakes, the oldest of each first."""
        longest = zip_longest(islice(self._costly.items(), MOST_COSTLY), islice(self._handshakes.items(), MOST_COSTLY))
        return [waiting for pair in longest for waiting in pair if waiting is not None and self._current(*waiting)]

    def forget(self, costly: Iterable[Waiting]) -> None:
        """Remove costly connections that were read."""
        for selectable, _event in costly:
            assert isinstance(selectable, EagerServer)
            if selectable.waits_in is not None:
                del selectable.waits_in[selectable]
                selectable.waits_in = None
        self._note()

    def by_turns(self, by_age: list[Waiting]) -> list[Waiting]:
        """Put connections in the order of their turns.

        The first is the one whose reads are paid for soonest, the second the one that has waited longest, and so on. In the
        next turn of the event loop it is the other way round. So who needs little does not wait for those who need much, and
        these do not wait for ever.
        """
        by_charge = sorted(by_age, key=lambda waiting: _paid_until(waiting[0]))
        pairs = zip(by_age, by_charge, strict=True) if self._oldest_first else zip(by_charge, by_age, strict=True)
        return list(dict.fromkeys(chain.from_iterable(pairs)))

    @property
    def _is_full(self) -> bool:
        waiting = len(self.crowd) + len(self._handshakes)
        return waiting >= FEW and waiting >= most_descriptors() / 2

    def _measure(self, now: float) -> None:
        """Note how long clients wait in the crowd. It is read in order, so whoever came before one is read before it."""
        if self._awaited > self._came - len(self.crowd):
            self._waited = max(self._waited, now - self._since)
        else:
            # It was read after the look before. Nobody looks while nothing waits, so that now may be much later.
            self._waited = self._looked_at - self._since if self._awaited and self.crowd else 0.0
            self._awaited, self._since = (self._came if self.crowd else 0), now
        self._looked_at = now

    def _is_late(self, port: EagerPort) -> bool:
        """True if whoever a port accepts now would be read too late."""
        return not port.is_prompt and self._waited > (LATE_IN_STORM if LEFT.is_storm else LATE)

    def _rank_for(self, connection: EagerServer, bits: int) -> Rank:
        """The rank in which a client that does not wait yet must wait."""
        if connection.is_prompt or bits & EPOLLOUT:
            return self.prompt
        if connection.is_likely:
            return self.likely
        if connection.paid_until > self._most:
            return self._handshakes if connection.paid_until == math.inf else self._costly
        if connection.has_more is None and len(self.crowd) > CROWDED and _pushes(connection):
            connection.is_likely = True  # for the rest of a long push too
            return self.likely
        return self.crowd

    def _current(self, selectable: object, event: Event) -> Event | None:
        """The event without what does not concern the connection any longer. None if nothing is left."""
        fd, bits = event
        if self._selectables.get(fd) is not selectable:
            return None
        if fd not in self._reads:
            bits &= ~(EPOLLIN | EPOLLRDHUP)
        return (fd, bits) if bits else None

    def _note(self) -> None:
        self.has_any = any(self._ranks)


def _paid_until(selectable: object) -> float:
    return getattr(selectable, "paid_until", 0.0)


def _pushes(connection: EagerServer) -> bool:
    """True if the next bytes of a connection begin a push. They stay in the socket."""
    with suppress(OSError):
        begun = connection.socket.recv(LOOKED_AT, socket.MSG_PEEK)
        return begun.startswith(b"POST ") and b"/push" in begun
    return False
