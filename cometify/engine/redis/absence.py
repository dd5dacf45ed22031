"""Absences of Redis: the lines of the log about them, and the counts of lost sessions.

An absence begins when Redis cannot be reached or is lost, and ends when the session is ready again. Its reason can change
meanwhile: first a connection is closed, and then Redis refuses each login because its password is another one. The later
reason is often the cause. So a reason that was not told in this absence is logged at once, and the last one once a minute.
"""

from collections.abc import Callable
from enum import Enum

from twisted.logger import Logger

log = Logger()

LOG_EVERY = 60.0
"""Seconds after which an absence that goes on is logged again."""
MOST_REASONS = 20
"""Reasons that are logged at once in one absence. A reason can hold a number that differs each time."""


class Loss(Enum):
    """A reason for which a session was lost, as the label of a metric."""

    CLOSED = "closed"
    """A connection was closed, by Redis or by the network."""
    NO_ANSWER = "no_answer"
    """A command was not answered in time."""
    SILENT = "silent"
    """The subscription was silent, although this node publishes a beat every second."""
    ERROR = "error"
    """Redis answered with an error that concerns all accounts, for example because its memory is full."""
    MISSED = "missed"
    """A push was missed, so that all must be read again."""
    NONSENSE = "nonsense"
    """A message or an answer made no sense."""


class Absence:
    """`where`: the URL of Redis without its password. `seconds`: a clock that never goes back.

    `losses`: the number of lost sessions for each reason. `tries`: the attempts that failed in this absence. `reason`: that of
    the last of them, in Redis's own words, None if Redis is there.
    """

    def __init__(self, where: str, seconds: Callable[[], float]) -> None:
        self.losses = {loss.value: 0 for loss in Loss}
        self.tries = 0
        self.reason: str | None = None
        self.where = where
        self._seconds = seconds
        self._began = 0.0
        self._logged_at = 0.0
        self._told: set[str] = set()  # the reasons that were logged in this absence

    def failed(self, reason: str) -> None:
        """Note that the session was lost, or that an attempt to connect has failed."""
        self.reason = reason = reason.rstrip(".")
        now = self._seconds()
        self.tries += 1
        if self.tries == 1:
            self._began = now
            log.error("Redis ({where}) is away: {reason}. Trying again.", where=self.where, reason=reason)
        elif (reason not in self._told and len(self._told) < MOST_REASONS) or now - self._logged_at >= LOG_EVERY:
            log.error(
                "Redis ({where}) is still away after {seconds:.0f} s and {tries} tries: {reason}. Trying again.",
                where=self.where,
                seconds=now - self._began,
                tries=self.tries,
                reason=reason,
            )
        else:
            return
        self._told.add(reason)
        self._logged_at = now

    def over(self) -> None:
        """Note that the session is ready."""
        if self.tries:
            seconds = self._seconds() - self._began
            log.info("Redis ({where}) is there again after {seconds:.1f} s", where=self.where, seconds=seconds)
        self.tries = 0
        self.reason = None
        self._told.clear()
