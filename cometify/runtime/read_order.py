"""The connections that are ready to be read, and the order in which they are."""

import math
import socket
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, islice, zip_longest
from select import EPOLLIN, EPOLLOUT

from cometify.runtime.tcp import EagerServer

Event = tuple[int, int]
"""A file descriptor, and the bits of what it is ready for."""
Rank = OrderedDict[object, Event]
"""Connections that wait, the oldest first."""

AT_MOST = 256
"""Connections of a rank that are taken at once: more than can be read in a turn."""
MOST_COSTLY = 64
"""Costly connections, and as many handshakes, that are looked at in a turn. Few of them are read in it."""
CROWDED = 64
"""Connections in the crowd, above which it is worth a system call to find one that pushes."""
PUSH = b"POST"
"""The first bytes of a push."""


class ReadOrder:
    """The events that wait for a read, by the rank of their connections.

    - **Prompt** are connections that have pushed, those of the admin endpoint, and everything that is not a client: listening
      ports, Redis, other processes.
    - **The crowd** are all other clients. A listener says little, but all of them may say it in one moment: 20,000 come back
      after a restart. Their reads take a second, and pushes must not stand in line behind them. A client that is about to push
      for the first time is in the crowd too. If the crowd is large, it is found by its first bytes.
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
        self._prompt: Rank = OrderedDict()
        self._crowd: Rank = OrderedDict()
        self._costly: Rank = OrderedDict()
        self._handshakes: Rank = OrderedDict()
        self._oldest_first = False
        self.has_any = False
        """True if something waits."""

    def add(self, events: Iterable[Event]) -> None:
        """Put new events behind the others of their rank. A connection that waits already keeps its place."""
        for event in events:
            selectable = self._selectables.get(event[0])
            if selectable is None:
                continue
            rank = self._rank_of(selectable, event[1])
            if selectable in rank:
                event = (event[0], event[1] | rank[selectable][1])  # noqa: PLW2901 - both are one
            rank[selectable] = event
        self._note()

    def judge_again(self, most: float) -> None:
        """Let costly connections that have waited long enough be cheap ones, and forget those that are closed.

        `most`: a connection is costly if its reads are paid for later. The oldest `MOST_COSTLY` of each rank are looked at.
        """
        for rank in (self._costly, self._handshakes):
            for selectable, event in list(islice(rank.items(), MOST_COSTLY)):
                if not self._is_current(selectable, event):
                    del rank[selectable]
                elif _paid_until(selectable) <= most:
                    del rank[selectable]
                    self._rank_of(selectable, event[1])[selectable] = event

    def take_prompt(self, most: float) -> list[Event]:
        """Remove up to `AT_MOST` prompt events, and return them. `most`: as above."""
        return self._take(self._prompt, most)

    def take_crowd(self, most: float) -> list[Event]:
        """Remove up to `AT_MOST` events of the crowd, and return them. `most`: as above."""
        return self._take(self._crowd, most)

    def put_back(self, events: list[Event]) -> None:
        """Put events that were taken, and for which there was no time, before the others of their rank."""
        for event in reversed(events):
            selectable = self._selectables.get(event[0])
            if selectable is not None:
                rank = self._rank_of(selectable, event[1])
                rank[selectable] = event
                rank.move_to_end(selectable, last=False)
        self._note()

    def costly(self) -> list[Event]:
        """Return up to `MOST_COSTLY` of the costly events, and as many of the handshakes, in the order of their turns.

        The first is the one that is paid for soonest, the second the one that has waited longest, and so on. In the next turn
        it is the other way round.
        """
        longest = zip_longest(islice(self._costly.items(), MOST_COSTLY), islice(self._handshakes.items(), MOST_COSTLY))
        by_age = [waiting for pair in longest for waiting in pair if waiting is not None]
        by_charge = sorted(by_age, key=lambda waiting: _paid_until(waiting[0]))
        self._oldest_first = not self._oldest_first
        pairs = zip(by_age, by_charge, strict=True) if self._oldest_first else zip(by_charge, by_age, strict=True)
        return [event for _selectable, event in dict.fromkeys(chain.from_iterable(pairs))]

    def forget_costly(self, events: Iterable[Event]) -> None:
        """Remove costly events that were read."""
        read = {fd for fd, _bits in events}
        for rank in (self._costly, self._handshakes):
            for selectable, event in list(islice(rank.items(), MOST_COSTLY)):
                if event[0] in read:
                    del rank[selectable]
        self._note()

    def _take(self, rank: Rank, most: float) -> list[Event]:
        taken = []
        for selectable, event in list(islice(rank.items(), AT_MOST)):
            del rank[selectable]
            if not self._is_current(selectable, event):
                continue
            if event[0] not in self._reads:
                taken.append((event[0], EPOLLOUT))
            elif (paid_until := _paid_until(selectable)) > most:
                rank_of_costly = self._handshakes if paid_until == math.inf else self._costly
                rank_of_costly[selectable] = event
            else:
                taken.append(event)
        self._note()
        return taken

    def _rank_of(self, selectable: object, bits: int) -> Rank:
        for rank in (self._prompt, self._crowd, self._costly, self._handshakes):
            if selectable in rank:
                return rank
        if not isinstance(selectable, EagerServer) or selectable.is_prompt or bits & EPOLLOUT:
            return self._prompt
        if len(self._crowd) > CROWDED and bits == EPOLLIN and _pushes(selectable):
            return self._prompt
        return self._crowd

    def _is_current(self, selectable: object, event: Event) -> bool:
        fd, bits = event
        if self._selectables.get(fd) is not selectable:
            return False
        return fd in self._reads or bool(bits & EPOLLOUT)

    def _note(self) -> None:
        self.has_any = bool(self._prompt or self._crowd or self._costly or self._handshakes)


def _paid_until(selectable: object) -> float:
    return getattr(selectable, "paid_until", 0.0)


def _pushes(connection: EagerServer) -> bool:
    """True if the next bytes of a connection begin a push. They stay in the socket."""
    with suppress(OSError):
        return connection.socket.recv(len(PUSH), socket.MSG_PEEK) == PUSH
    return False
