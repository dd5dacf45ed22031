"""Event-loop lag: how late a one-second timer fires. A long step of the reactor delays every listener by as much."""

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall

from cometify.core.histogram import Histogram
from cometify.runtime.reactor import Clock

EVERY = 1.0
"""Seconds between two measurements."""


class ReactorLag(Service):
    """A timer that is set again each time it has fired. `lag`: seconds between the due time and the call."""

    def __init__(self, reactor: Clock) -> None:
        self.lag = Histogram()
        self._reactor = reactor
        self._due = 0.0
        self._call: IDelayedCall | None = None

    def startService(self) -> None:
        super().startService()
        self._set()

    def stopService(self) -> None:
        super().stopService()
        if self._call is not None:
            self._call.cancel()

    def _set(self) -> None:
        self._due = self._reactor.seconds() + EVERY
        self._call = self._reactor.callLater(EVERY, self._measure)

    def _measure(self) -> None:
        self.lag.observe(max(0.0, self._reactor.seconds() - self._due))
        self._set()
