"""The accounts of the settings. They come, change and go while the server runs."""

from collections.abc import Iterable

from cometify.core.account import Account


class Accounts:
    """See `IAccounts`."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._by_key: dict[str, Account] = {}
        self.replace(accounts)

    def get(self, api_key: str) -> Account | None:
        return self._by_key.get(api_key)

    def replace(self, accounts: Iterable[Account]) -> None:
        """Replace all accounts by these."""
        self._by_key = {account.api_key: account for account in accounts}
