"""Lines of the log about refusals: which account, which code, and how many.

An account's back end with an old secret, or pages that the proxy hides behind one address, show nowhere else but in counters.
The counts are read from `Usage` now and then, so that a refusal itself costs nothing. A line names an account and a code. It
never has a key's secret, a text or a token, and no address.
"""

from collections.abc import Callable

from twisted.logger import Logger

from cometify.core import errors
from cometify.core.usage import Usage

log = Logger()

LOG_EVERY = 60.0
"""Seconds between two lines about one account and one code."""
MOST_LINES = 20
"""Lines of one look. What comes beyond is told a look later, with its count."""
NO_FAULT = frozenset({errors.REPLACED.name, errors.DRAINING.name})
"""Codes that tell no fault: a listener came again on another connection, or the server drains."""


class RefusalLog:
    """`usage`: counts the refusals. `seconds`: a clock that never goes back."""

    def __init__(self, usage: Usage, seconds: Callable[[], float]) -> None:
        self._usage = usage
        self._seconds = seconds
        self._told: dict[tuple[str, str], tuple[float, int]] = {}  # when a line was logged, and the count by then

    def look(self) -> None:
        """Log a line for each account and code that has refusals which were not told, if its last line is old enough."""
        now = self._seconds()
        left = MOST_LINES
        known = set()
        for api_key, counts in self._usage.figures().items():
            for code, count in counts.refused.items():
                known.add((api_key, code))
                when, told = self._told.get((api_key, code), (-LOG_EVERY, 0))
                if count > told and left and now - when >= LOG_EVERY and code not in NO_FAULT:
                    left -= 1
                    self._told[api_key, code] = now, count
                    log.warn(  # noqa: G010 - this is Twisted's
                        "Account {account}: {count} refused with {code} since the last such line",
                        account=api_key,
                        count=count - told,
                        code=code,
                    )
        for gone in self._told.keys() - known:
            del self._told[gone]
