"""The accounts of one process: those of the file, and those of a store. They come, change and go while it runs."""

from collections.abc import Iterable, Iterator, Mapping

from cometify.config.account_hash import account_hash
from cometify.core import errors
from cometify.core.account import Account
from cometify.core.errors import Refused


class Accounts:
    """See `IAccounts`. An account of the file hides one of the store that has the same API key.

    `is_complete`: False until the store has been read for the first time. An API key that is not known may be there then.
    """

    def __init__(self, accounts: Iterable[Account], *, is_complete: bool = True) -> None:
        self.is_complete = is_complete
        self._of_file: Mapping[str, Account] = {}
        self._kept: Mapping[str, Account] = {}
        self._all: Mapping[str, Account] = {}
        self._serving: Mapping[str, Account] = {}
        self._hashes: dict[str, tuple[Account, int]] = {}
        self.replace(accounts)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Account]:
        return iter(self._all.values())

    def get(self, api_key: str) -> Account | None:
        return self._all.get(api_key)

    def find(self, api_key: str) -> Account | None:
        account = self._serving.get(api_key)
        if account is not None:
            return account
        if api_key in self._all:
            raise suspended()
        if not self.is_complete:
            raise _not_known_yet()
        return None

    def is_of_file(self, api_key: str) -> bool:
        """True if the account of this key is one of the file, which alone can change it."""
        return api_key in self._of_file

    @property
    def of_file(self) -> Mapping[str, Account]:
        """The accounts of the file, by API key."""
        return self._of_file

    def replace(self, accounts: Iterable[Account]) -> None:
        """Replace the accounts of the file by these. One that is equal stays the same object."""
        before = self._of_file
        self._of_file = {account.api_key: _same(before.get(account.api_key), account) for account in accounts}
        self._join()

    def replace_kept(self, accounts: Mapping[str, Account]) -> None:
        """Replace the accounts of the store by these. From now on all accounts are known."""
        self._kept = accounts
        self.is_complete = True
        self._join()

    def _join(self) -> None:
        self._all = {**self._kept, **self._of_file}
        self._serving = {key: account for key, account in self._all.items() if not account.suspended}

    def hash(self) -> int:
        """Return a number that is the same in all processes that have the same accounts. Their order does not count."""
        hashes = {}
        for key, account in self._all.items():
            known = self._hashes.get(key)
            hashes[key] = known if known is not None and known[0] is account else (account, account_hash(account))
        self._hashes = hashes
        return sum([number for _account, number in hashes.values()]) % 2**32


def _same(old: Account | None, new: Account) -> Account:
    return old if old is not None and old == new else new


def suspended() -> Refused:
    """The account may do nothing for now."""
    return Refused(
        errors.ACCOUNT_SUSPENDED,
        "The operator of the server has suspended this account: ask there. Nothing of it is deleted.",
    )


def _not_known_yet() -> Refused:
    return Refused(
        errors.ENGINE_UNAVAILABLE,
        "This server does not know its accounts yet, and nothing was done: come back in a moment.",
    )
