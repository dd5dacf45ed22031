"""Figures of the accounts: their number, a hash that shows nodes with different accounts, and the last reload."""

from collections.abc import Callable, Iterator

import attrs
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from cometify.admin.families import gauge
from cometify.config.accounts import Accounts
from cometify.config.last_reload import LastReload


@attrs.frozen(eq=False)
class AccountFigures(Collector):
    """The accounts of this process. `is_current()`: they are those of the store, as it was at the last look."""

    accounts: Accounts
    is_current: Callable[[], bool]

    def collect(self) -> Iterator[Metric]:
        suspended = sum(account.suspended for account in self.accounts)
        states = {"active": len(self.accounts) - suspended, "suspended": suspended}
        yield gauge("accounts", "Accounts, by state.", states, "state")
        yield gauge(
            "accounts_hash",
            "A number that is the same in all processes that have the same accounts, with the same settings and secrets.",
            self.accounts.hash(),
        )
        yield gauge(
            "accounts_current",
            "1 if the store of the accounts could be read at the last look, or there is none. 0: its error is in the log.",
            int(self.is_current()),
        )


@attrs.frozen(eq=False)
class ReloadFigures(Collector):
    """The last reload of the file, in the process that reads it."""

    last: LastReload

    def collect(self) -> Iterator[Metric]:
        if not self.last.at:
            return
        yield gauge(
            "config_last_reload_successful",
            "1 if the last reload could use the file, or there was none since the start. 0: its error is in the log.",
            int(self.last.is_successful),
        )
        yield gauge(
            "config_last_reload_success_timestamp_seconds",
            "Time of the last reload that could use the file, or of the start, in Unix seconds.",
            self.last.at,
        )
