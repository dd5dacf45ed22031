"""Tables of accounts, as `[[account]]` has them, become accounts."""

from collections.abc import Mapping

from cometify.config.keys import ACCOUNT, DEFAULTS, SECRET_SOURCES, Table, Values, read_values
from cometify.config.settings import SettingsError
from cometify.core.account import Account

Defaults = Mapping[str, object]
"""The table `[defaults]`."""


def read_defaults(table: object) -> Table:
    """Check the table `[defaults]` and return it. Raises `SettingsError`."""
    if not isinstance(table, dict):
        raise SettingsError("defaults: must be a table [defaults] of settings that accounts have.")
    read_values(table, DEFAULTS, "defaults: ")
    return table


def read_accounts(tables: object, defaults: Defaults, *, may_be_none: bool) -> tuple[Account, ...]:
    """Read the tables of all accounts. Raises `SettingsError`.

    `may_be_none`: accounts are kept elsewhere too, so that the file needs none.
    """
    if tables is None and may_be_none:
        return ()
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise SettingsError("account: write at least one table [[account]] with api_key and api_secret.")
    accounts = tuple([read_account(table, defaults, f"account {number}: ") for number, table in enumerate(tables, 1)])
    keys: set[str] = set()
    for account in accounts:
        if account.api_key in keys:
            raise SettingsError(f"api_key: {account.api_key} is the key of two accounts.")
        keys.add(account.api_key)
    return accounts


def read_account(table: Table, defaults: Defaults, where: str) -> Account:
    """Read the table of one account. `where`: the beginning of an error. Raises `SettingsError`."""
    values = read_values({**defaults, **table}, ACCOUNT, where)
    if "api_key" not in values:
        raise SettingsError(f"{where}api_key: is missing.")
    secrets = _take_secrets(values, where)
    if "push_burst" in values and "pushes_per_second" not in values:
        raise SettingsError(f"{where}push_burst: bounds nothing without pushes_per_second; set both, or leave it out.")
    if values.get("edge") and "origins" in values:
        raise SettingsError(
            f"{where}edge: a shared cache gives every page the same answer, and origins makes answers differ; leave one of "
            "them out."
        )
    account = Account(api_secrets=secrets, **values)
    for name in account.private:
        if not account.spelling.allows_prefix(name):
            raise SettingsError(
                f'{where}private: "{name}" is neither an identifier nor a prefix: write "orders" or "user_*", or set '
                'identifiers = "extended" to allow dots and hyphens.'
            )
    return account


def _take_secrets(values: Values, where: str) -> tuple[str, ...]:
    given = [name for name in SECRET_SOURCES if name in values]
    if len(given) != 1:
        raise SettingsError(
            f"{where}api_secret: give api_secret, or api_secrets while one secret is being replaced, or one of "
            f"{', '.join(SECRET_SOURCES[2:])}."
        )
    found: str | tuple[str, ...] = values.pop(given[0])
    return (found,) if isinstance(found, str) else found
