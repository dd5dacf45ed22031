"""Tables of accounts, as `[[account]]` has them, become accounts."""

from cometify.config.keys import ACCOUNT, Table, read_values
from cometify.config.settings import SettingsError
from cometify.core.account import Account


def read_accounts(tables: object) -> tuple[Account, ...]:
    """Read the tables of all accounts. Raises `SettingsError`."""
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise SettingsError("account: write at least one table [[account]] with api_key and api_secret.")
    accounts = tuple([_account(table, f"account {number}: ") for number, table in enumerate(tables, 1)])
    keys = [account.api_key for account in accounts]
    for key in keys:
        if keys.count(key) > 1:
            raise SettingsError(f"api_key: {key} is the key of two accounts.")
    return accounts


def _account(table: Table, where: str) -> Account:
    values = read_values(table, ACCOUNT, where)
    if ("api_secret" in values) == ("api_secrets" in values):
        raise SettingsError(f"{where}api_secret: give api_secret, or api_secrets while one secret is being replaced.")
    if "api_key" not in values:
        raise SettingsError(f"{where}api_key: is missing.")
    one = values.pop("api_secret", None)
    if one is not None:
        values["api_secrets"] = (one,)
    if "push_burst" in values and "pushes_per_second" not in values:
        raise SettingsError(f"{where}push_burst: bounds nothing without pushes_per_second; set both, or leave it out.")
    account = Account(**values)
    for name in account.private:
        if not account.spelling.allows_prefix(name):
            raise SettingsError(
                f'{where}private: "{name}" is neither an identifier nor a prefix: write "orders" or "user_*", or set '
                'identifiers = "extended" to allow dots and hyphens.'
            )
    return account
