"""Event-loop lag: how late a one-second timer fires, and how long the longest turn of the loop took.

A long step of the reactor delays every listener by as much.
"""

from collections import deque
from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from cometify.core.histogram import Histogram
from cometify.runtime.reactor import Clock

EVERY = 1.0
"""Seconds between two measurements."""
REMEMBERED = 60
"""Measurements of which the longest turn is told, so that scrapes of one minute miss none."""
TOLD = 1.0
"""Seconds of lag that are worth a line in the log."""
LOG_EVERY = 60.0
"""Seconds between two such lines."""

log = Logger()


class ReactorLag(Service):
    """A timer that is set again each time it has fired. `lag`: seconds between the due time and the call.

    `turns`: gives the longest turn since the last call, in seconds. None if the reactor does not measure its turns: the
    lateness of the timer stands for them then.
    """

    def __init__(self, reactor: Clock, turns: Callable[[], float] | None = None) -> None:
        self.lag = Histogram()
        self._reactor = reactor
        self._turns = turns
        self._longest: deque[float] = deque(maxlen=REMEMBERED)
        self._due = 0.0
        self._call: IDelayedCall | None = None
        self._logged_at = -LOG_EVERY

    @property
    def longest_turn(self) -> float:
        """The seconds of the longest turn within the last minute."""
        return max(self._longest, default=0.0)

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
        now = self._reactor.seconds()
        late = max(0.0, now - self._due)
        self.lag.observe(late)
        self._longest.append(late if self._turns is None else self._turns())
        if late >= TOLD and now - self._logged_at >= LOG_EVERY:
            self._logged_at = now
            log.warn(  # noqa: G010 - this is Twisted's
                "This process was busy for {late:.1f} s, or was not running, and everything else waited meanwhile: listeners, "
                "publishers, health checks and answers of Redis",
                late=late,
            )
        self._set()
