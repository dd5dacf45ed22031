"""The accounts of several Redis: which of them keeps which account.

Rendezvous hashing: each Redis gets a number for each account, and the one with the highest number keeps the account. So all
nodes agree without asking each other, and when a Redis is added or taken away only the accounts move that it gets or had.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b

import attrs

from cometify.core.account import Account

REMEMBERED = 100_000
"""Accounts whose Redis is remembered, because a push asks for it."""


def home_of(api_key: str, names: Iterable[str]) -> str:
    """Return the name of the Redis that keeps an account."""
    return max(names, key=lambda name: (_number(name, api_key), name))


def _number(name: str, api_key: str) -> bytes:
    return blake2b(f"{name}\0{api_key}".encode(), digest_size=8).digest()


def remembered_home(names: Collection[str]) -> Callable[[str], str]:
    """Return `home_of` for these names, which remembers its answers."""
    return lru_cache(REMEMBERED)(lambda api_key: home_of(api_key, names))


@attrs.frozen
class Spread:
    """The list of all Redis as one of them is used by it. `name`: the name of this one."""

    name: str
    names: tuple[str, ...]

    def is_here(self, api_key: str) -> bool:
        """True if this Redis keeps the account."""
        return home_of(api_key, self.names) == self.name

    def record(self) -> str:
        """The list as one text, whatever its order."""
        return "\n".join(sorted(self.names))


@attrs.frozen
class AccountsHere:
    """Those of `accounts`, at any time, that one Redis keeps."""

    accounts: Iterable[Account]
    spread: Spread

    def __iter__(self) -> Iterator[Account]:
        return (account for account in self.accounts if self.spread.is_here(account.api_key))
