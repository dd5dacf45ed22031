"""The difference between two lists of accounts, for the log and for the guard of a reload."""

from collections.abc import Iterable, Mapping
from typing import Self

import attrs

from cometify.core.account import Account

MOST_NAMES = 20
"""Accounts that one list of the log names."""


@attrs.frozen
class Difference:
    """API keys of the accounts that came, changed and went. A changed one has the names of its changed settings.

    `before`: the number of accounts before.
    """

    came: tuple[str, ...]
    changed: Mapping[str, tuple[str, ...]]
    gone: tuple[str, ...]
    before: int

    @classmethod
    def between(cls, before: Iterable[Account], after: Iterable[Account]) -> Self:
        """Compare two lists of accounts."""
        old, new = ({account.api_key: account for account in accounts} for accounts in (before, after))
        both = [key for key in new if key in old and old[key] != new[key]]
        return cls(
            tuple([key for key in new if key not in old]),
            {key: _changed(old[key], new[key]) for key in both},
            tuple([key for key in old if key not in new]),
            len(old),
        )

    @property
    def drops_too_many(self) -> bool:
        """True if more than a tenth of the accounts went, and more than one: the file may have been cut."""
        return len(self.gone) > max(1, self.before // 10)

    def __str__(self) -> str:
        changed = [f"{key} ({', '.join(names)})" for key, names in self.changed.items()]
        lists = (("came", self.came), ("changed", changed), ("gone", self.gone))
        return "; ".join(f"{word}: {named(keys)}" for word, keys in lists if keys) or "no account has changed"


def _changed(old: Account, new: Account) -> tuple[str, ...]:
    return tuple([name for name in attrs.fields_dict(Account) if getattr(old, name) != getattr(new, name)])


def named(keys: Iterable[str]) -> str:
    """Join names for a sentence. A long list is cut."""
    names = list(keys)
    more = [f"{len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
    return ", ".join([*names[:MOST_NAMES], *more])
