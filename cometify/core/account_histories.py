"""Figures of the last hour by account, for the accounts that do the most.

A service can have thousands of accounts, and most of them do little. The histories of `MOST` accounts are kept, so that memory
is bounded. Each has a weight: what it has done lately. An account that does more than the least of them takes its place.
"""

from collections.abc import Mapping

import attrs

from cometify.core.history import EVERY, SAMPLES, History

MOST = 100
"""Accounts whose histories are kept. Each takes up to 15 kB."""
FADING = 0.99
"""The part of a weight that is left with each sample: half of it after six minutes."""
MINUTE = 60 // EVERY
"""Samples of a minute."""


@attrs.define(eq=False)
class _Account:
    history: History
    weight: float = 0.0
    idle: int = 0


class AccountHistories:
    """`most`: the accounts whose histories are kept."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._accounts: dict[str, _Account] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    def add(self, now: float, figures: Mapping[str, Mapping[str, int]]) -> None:
        """Add a sample. `now`: Unix seconds. `figures`: those of each account, without the accounts that have only zeros."""
        for api_key, account in list(self._accounts.items()):
            account.weight *= FADING
            account.idle = 0 if api_key in figures else account.idle + 1
            if account.idle >= SAMPLES:
                del self._accounts[api_key]
        self._make_room({api_key: sum(values.values()) for api_key, values in figures.items()})
        for api_key, account in self._accounts.items():
            values = figures.get(api_key, {})
            account.weight += sum(values.values())
            account.history.add(now, values)

    def _make_room(self, done: Mapping[str, int]) -> None:
        """Begin the histories of new accounts, in the place of those that have done less."""
        new = sorted([api_key for api_key in done if api_key not in self._accounts], key=lambda key: -done[key])
        lowest = sorted(self._accounts, key=lambda key: -self._accounts[key].weight)
        for api_key in new:
            if len(self._accounts) >= self._most:
                if not lowest or self._accounts[lowest[-1]].weight >= done[api_key]:
                    return
                del self._accounts[lowest.pop()]
            self._accounts[api_key] = _Account(History())

    def since(self, api_key: str, at: float) -> dict[str, object]:
        """Describe the samples of an account that are newer than `at`: see `History.since`."""
        account = self._accounts.get(api_key)
        return (History() if account is None else account.history).since(at)

    def last_minute(self) -> dict[str, dict[str, int]]:
        """The sum of the last minute's samples for each account, by column. An account that did nothing is left out."""
        sums = {api_key: account.history.sums(MINUTE) for api_key, account in self._accounts.items()}
        return {api_key: found for api_key, found in sums.items() if found}
