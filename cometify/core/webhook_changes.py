"""Changes at this node that an account's webhook may have to be told.

An identifier with a first listener is reported soon. One whose last listener has left is reported `LINGER` seconds later,
unless a listener has come again. So a poller, which leaves with each answer, does not flap.

Reports are made in the order of the changes, and one at a time. A report that got no answer is made again as it was, because
the engine may have it. It does no harm twice.
"""

from collections import Counter
from collections.abc import Mapping

from cometify.core.webhook_events import Report

LINGER = 5.0
"""Seconds after which an identifier that nobody listens to any longer is reported."""
MOST_IN_REPORT = 500
"""Identifiers of one report."""


class NodeChanges:
    """The changes of one account at this node. `again`: see `IWebhookEvents.report`."""

    def __init__(self) -> None:
        self.again = True
        self._come: dict[str, None] = {}
        self._left: dict[str, float] = {}  # and when each may be reported, the earliest first
        self._reported: set[str] = set()
        self._refused: Counter[str] = Counter()
        self._report: Report | None = None

    def occupied(self, identifier: str) -> None:
        """The first listener of an identifier has come to this node."""
        self._left.pop(identifier, None)
        if identifier not in self._reported:
            self._come[identifier] = None

    def vacated(self, identifier: str, now: float) -> None:
        """The last listener of an identifier has left this node. `now`: seconds of a clock that never goes back."""
        self._left.pop(identifier, None)  # so that the dict stays in the order of the times
        self._left[identifier] = now + LINGER

    def refused(self, codes: Mapping[str, int]) -> None:
        """Add numbers of refusals, by the name of the code."""
        self._refused.update(codes)

    def report(self, now: float) -> Report | None:
        """Return the next report, or the last one again until it was answered. None if there is nothing to report."""
        if self._report is None:
            self._report = self._next_report(now)
        return self._report

    def _next_report(self, now: float) -> Report | None:
        come: list[str] = []
        gone: list[str] = []
        while self._come and len(come) < MOST_IN_REPORT:
            come.append(next(iter(self._come)))
            del self._come[come[-1]]
        self._reported.update(come)
        while self._left and len(come) + len(gone) < MOST_IN_REPORT:
            identifier, due = next(iter(self._left.items()))
            if due > now:
                break
            del self._left[identifier]
            if identifier in self._reported:  # else its listeners were never seen
                gone.append(identifier)
        if not come and not gone and not self._refused:
            return None
        self._reported.difference_update(gone)
        refused, self._refused = self._refused, Counter()
        return Report(tuple(come), tuple(gone), refused)

    def answered(self, *, is_known: bool) -> None:
        """The last report was answered. `is_known`: see `Taken`."""
        report, self._report = self._report, None
        self.again = False
        if not is_known:
            if report is not None:
                self._refused.update(report.refused)
            self.forgotten()

    def forgotten(self) -> None:
        """The engine does not know what was reported: report everything again that is listened to now."""
        self._come = {**dict.fromkeys(sorted(self._reported)), **self._come}
        self._reported.clear()
        self.again = True

    @property
    def has_reported(self) -> bool:
        """True if the engine must know of an identifier here."""
        return bool(self._reported)
