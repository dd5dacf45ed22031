"""A port of one of several workers, which all accept from the same socket.

One queue for all makes workers robust: while one of them computes, is stopped or dies, the others serve those who wait.
But a quick worker gets most connections that way, and listeners stay for hours. Three rules keep the numbers even:

- The kernel wakes one worker for a connection (`EPOLLEXCLUSIVE`): the first in its list that sleeps. A worker that has accepted
  goes to the end of the list if it has more connections than another. So the one that has the fewest stays the first.
- A worker accepts in a turn only as many as keep it from being far ahead of the others.
- A worker that is far ahead, and is told of a connection, rests for a moment. The others are awake, because the kernel would
  have woken one of them, and take what waits. If none does, because it is stopped, the worker that has rested accepts one.

    Two workers have no connection. 32 clients connect within a millisecond, and only the first worker runs at that moment.
    It accepts two, and then one, which puts it far ahead. It rests, and would accept one more after 2 ms.
    The second worker runs meanwhile, and takes five: two more than the first has. Both go on like this.

A worker that is woken and then stopped before it accepts leaves a connection that nobody else was woken for. So each looks
once in a second.
"""

from select import EPOLLEXCLUSIVE, EPOLLIN
from typing import cast

from twisted.python.failure import Failure

from cometify.runtime.periodic_task import PeriodicTask
from cometify.runtime.reactor import Reactor
from cometify.runtime.tcp import EagerPort

REST = 0.002
"""Seconds for which a worker that is far ahead leaves a connection to the others."""
LOOK_EVERY = 1.0
"""Seconds between two looks for a connection that nobody was woken for."""


class SharedPort(EagerPort):
    """A port whose `share` must be set before it listens."""

    epoll_bits = EPOLLIN | EPOLLEXCLUSIVE

    def startListening(self) -> None:
        super().startListening()
        assert self.share is not None
        self.share.begin()
        self._look = PeriodicTask("accepting", LOOK_EVERY, self._accept_forgotten, cast("Reactor", self.reactor))
        self._look.start()

    def _accept_forgotten(self) -> None:
        if not self.is_resting:
            self.doRead()

    def doRead(self) -> None:
        assert self.share is not None
        if self.share.room() < 0:
            self._rest(REST)
        else:
            self._accept()

    def _go_on(self) -> None:
        super()._go_on()
        if self.connected:
            self._accept()

    def _accept(self) -> None:
        assert self.share is not None
        self.numberAccepts = min(self.numberAccepts, max(1, self.share.room()))
        super().doRead()
        if not self.is_resting and self.share.lead() > 0:
            self.stopReading()
            self.startReading()  # at the end of the kernel's list

    def connectionLost(self, reason: Failure) -> None:
        self._look.stop()
        assert self.share is not None
        self.share.end()
        super().connectionLost(reason)
