"""The usage of each account in this process: counts that only grow, and its listeners.

The counts are plain integers, and whoever does the work adds to them. The fan-out adds once for up to 32 deliveries, the
registry once for each listener that comes or goes, and the endpoints once for each push or refusal. Nobody looks an account up
for a delivery, because each view has the counts of its account.

A reader of now calls `Usage.figures`. It gets the counts themselves, by API key, and must only read them. A rate is the
difference of two readings, divided by the time between them. All counts begin at 0 with the process, and again when an account
was removed and comes back.

`Usage.take` is for the engine alone, which keeps the usage of hours and days: see `core.usage_history`.

Only accounts have counts. An API key that a stranger makes up is looked up among the accounts, and nothing is kept of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import attrs

from cometify.core.errors import Refused
from cometify.core.usage_history import FIGURES, UsagePeriod


@attrs.define(eq=False)
class AccountCounts:
    """The counts of one account in this process."""

    pushes: int = 0
    """Accepted pushes. One that was sent again with its Idempotency-Key counts once."""
    push_bytes: int = 0
    """The bytes of their texts, or of their JSON, in UTF-8."""
    deliveries: int = 0
    """Pushes that were written to listeners, once for each listener. Replay counts too."""
    delivered_bytes: int = 0
    """The bytes of these pushes as they were written: with the framing of the transport, and compressed if it compresses."""
    gaps: int = 0
    """Gaps that listeners were told."""
    joins: int = 0
    """Listeners that have joined. A poller counts with each request that waits."""
    listeners: int = 0
    """The listeners that are joined now. A poller counts while it waits."""
    peak: int = 0
    """The most listeners at once since the last `take`."""
    refused: Counter[str] = attrs.field(factory=Counter)
    """Refused requests and listeners, by the name of the code."""
    refusals: int = 0
    """The number of all of them."""
    _taken: UsagePeriod = attrs.field(factory=UsagePeriod, init=False)
    """All that was taken so far."""
    _refusals_taken: int = attrs.field(default=0, init=False)

    def pushed(self, size: int) -> None:
        """Count an accepted push, with the bytes of its text."""
        self.pushes += 1
        self.push_bytes += size

    def entered(self) -> None:
        """Count a listener that has joined."""
        self.joins += 1
        self.listeners += 1
        if self.listeners > self.peak:  # noqa: PLR1730 - max() takes twice the time, for each poll
            self.peak = self.listeners

    @property
    def has_come(self) -> bool:
        """True if anything has come since the last `take`, or if there are listeners."""
        taken = self._taken.figures
        return (
            self.peak > 0
            or self.pushes != taken["pushes"]
            or self.refusals != self._refusals_taken
            or self.deliveries != taken["deliveries"]
            or self.gaps != taken["gaps"]
        )

    def take(self) -> UsagePeriod:
        """Return what has come since the last call. The next peak begins with the listeners of now."""
        before = self._taken
        figures = {name: getattr(self, name) for name in FIGURES}
        self._taken = UsagePeriod(figures, refused=self.refused.copy())
        self._refusals_taken = self.refusals
        grown = {name: value - before.figures[name] for name, value in figures.items()}
        period = UsagePeriod(grown, self.peak, self.refused - before.refused)
        self.peak = self.listeners
        return period


class Usage:
    """The counts of all accounts in this process. `is_account`: tells whether an API key is an account's."""

    def __init__(self, is_account: Callable[[str], object] = bool) -> None:
        self._is_account = is_account
        self._counts: dict[str, AccountCounts] = {}
        self._round: Iterator[str] = iter(())
        self.noted: Callable[[str | None, Refused], None] | None = None
        """Called with each refusal, and with the API key if it is an account's."""

    def of(self, api_key: str) -> AccountCounts:
        """Return the counts of an account, to be added to. The caller knows that it is one."""
        counts = self._counts.get(api_key)
        if counts is None:
            counts = self._counts[api_key] = AccountCounts()
        return counts

    def refuse(self, api_key: str, refused: Refused) -> None:
        """Count a refusal, if the API key is an account's."""
        is_known = api_key in self._counts or bool(self._is_account(api_key))
        if is_known:
            counts = self.of(api_key)
            counts.refused[refused.code.name] += 1
            counts.refusals += 1
        if self.noted is not None:
            self.noted(api_key if is_known else None, refused)

    def figures(self) -> Mapping[str, AccountCounts]:
        """Return the counts of each account that has any, by API key. They go on growing, and must not be changed."""
        return self._counts

    def begin_round(self) -> None:
        """Begin a round over all accounts: see `take`."""
        self._round = iter(list(self._counts))

    def take(self, most: int) -> dict[str, UsagePeriod]:
        """Go on with the round, and return what has come of up to `most` accounts since it was taken last, by API key.

        An empty result ends the round. It passes over accounts of which nothing has come, and forgets those that were
        removed once their listeners are gone. 100 accounts take half a millisecond.
        """
        taken: dict[str, UsagePeriod] = {}
        for api_key in self._round:
            counts = self._counts[api_key]  # accounts are forgotten nowhere else
            if counts.has_come:
                taken[api_key] = counts.take()
            if not counts.listeners and not self._is_account(api_key):
                del self._counts[api_key]
            if len(taken) >= most:
                break
        return taken
