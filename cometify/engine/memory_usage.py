"""The usage of accounts in a server without Redis: see `IUsageBook`. It ends with the process."""

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed

from cometify.core.account import Account
from cometify.core.usage import Usage
from cometify.core.usage_history import UsageHistory, UsageReport

MOST_ACCOUNTS = 300
"""Accounts of one report, in 2 ms. If more were used, the others follow with the next report."""


class MemoryUsage:
    """`clock`: that of the engine, in microseconds."""

    _usage: Usage
    """See `IUsageBook.watch`."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._histories: dict[str, UsageHistory] = {}

    def watch(self, usage: Usage) -> None:
        self._usage = usage

    def report(self) -> Deferred[None]:
        now = self._clock()
        periods = self._usage.take(MOST_ACCOUNTS)
        if len(periods) < MOST_ACCOUNTS:
            self._usage.begin_round()
        for api_key, period in periods.items():
            self._history(api_key).add(period, now)
        return succeed(None)

    def read(self, account: Account) -> Deferred[UsageReport]:
        counts, history, now = self._usage.of(account.api_key), self._history(account.api_key), self._clock()
        history.add(counts.take(), now)
        return succeed(history.report(counts.listeners, now))

    def _history(self, api_key: str) -> UsageHistory:
        history = self._histories.get(api_key)
        if history is None:
            history = self._histories[api_key] = UsageHistory()
        return history
