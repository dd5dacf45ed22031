"""How late the reactor comes to what is due: what one step of it costs, all others wait for."""

from typing import Any

from twisted.application.service import Service

from cometify.core.histogram import Histogram

EVERY = 1.0
"""Seconds between two looks."""


class ReactorLag(Service):
    """A timer that is set anew each time it has run. `lag`: for each time, how many seconds after it was due."""

    def __init__(self, reactor: Any) -> None:
        self.lag = Histogram()
        self._reactor = reactor
        self._due = 0.0
        self._call: Any = None

    def startService(self) -> None:
        super().startService()
        self._set()

    def stopService(self) -> None:
        super().stopService()
        self._call.cancel()

    def _set(self) -> None:
        self._due = self._reactor.seconds() + EVERY
        self._call = self._reactor.callLater(EVERY, self._look)

    def _look(self) -> None:
        self.lag.observe(max(0.0, self._reactor.seconds() - self._due))
        self._set()
