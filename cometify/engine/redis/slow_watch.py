"""Warns when Redis is slow. A slow Redis refuses nothing, and yet every push and every join waits for it.

The time of a command ends when this process reads the reply. A busy process reads late, and must not blame Redis. So the mean
lag of its reads is held against the time of the commands: see `runtime/read_lag.py`.
"""

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from cometify.core.histogram import Histogram

log = Logger()

LOOK_EVERY = 30.0
"""Seconds between two looks."""
LOG_EVERY = 600.0
"""Seconds between two warnings."""
SLOW = 0.05
"""Seconds above which half of the commands count as slow. It is a bound of the histogram, and that of CometifyRedisSlow."""
FEW = 10
"""Commands of a look that tell nothing. A node sends one each second anyway."""


class SlowWatch:
    """`redis`: its name in the log. `latency`: of all commands so far. `seconds`: a clock that never goes back.

    `take_lag()`: the mean lag of reads since its last call.
    """

    def __init__(
        self, redis: str, latency: Histogram, take_lag: Callable[[], float], seconds: Callable[[], float]
    ) -> None:
        self._redis = redis
        self._latency = latency
        self._take_lag = take_lag
        self._seconds = seconds
        self._counts = list(latency.counts)
        self._looked_at = seconds()
        self._warned_at: float | None = None

    def look(self) -> None:
        """Look at the commands since the last look, if that is old enough."""
        now = self._seconds()
        if now - self._looked_at < LOOK_EVERY:
            return
        self._looked_at = now
        grown = [count - before for count, before in zip(self._latency.counts, self._counts, strict=True)]
        self._counts = list(self._latency.counts)
        lag, least = self._take_lag(), _least_of_half(grown, self._latency.bounds)
        is_told = self._warned_at is not None and now - self._warned_at < LOG_EVERY
        if sum(grown) > FEW and least >= SLOW and lag < least / 2 and not is_told:
            self._warned_at = now
            log.warn(  # noqa: G010 - this is Twisted's
                "Redis ({redis}) is slow, or the network to it: half of {count} commands took longer than {least:.0f} ms. This "
                "process was late by {lag:.0f} ms only. Pushes wait for it. See CometifyRedisSlow in docs/runbook.md.",
                redis=self._redis,
                count=sum(grown),
                least=1000 * least,
                lag=1000 * lag,
            )


def _least_of_half(counts: list[int], bounds: Sequence[float]) -> float:
    """Return a bound of the histogram that half of the values are above."""
    above = 0
    for index in range(len(counts) - 1, 0, -1):
        above += counts[index]
        if 2 * above >= sum(counts):
            return bounds[index - 1]
    return 0.0
