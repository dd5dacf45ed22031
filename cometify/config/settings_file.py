"""A TOML file and options of the command line become settings.

Each error is one line that names the file, the key and the reason.
"""

import secrets
import tomllib
from pathlib import Path
from typing import TypedDict

import attrs

from cometify.config.account_store_url import AccountStoreURL
from cometify.config.account_tables import read_accounts, read_defaults
from cometify.config.checks import check_together
from cometify.config.keys import FIELDS, REDIS_SOURCES, SERVER, Table, Values, check_keys, read_values
from cometify.config.named_files import read_at_most
from cometify.config.redis_url import RedisURL
from cometify.config.settings import Settings, SettingsError
from cometify.core.account import Account

DEFAULT_FILE = "cometify.toml"
_MOST_BYTES = 64 << 20
"""A file with the tables of 100,000 accounts is a fifth as long."""


class Overrides(TypedDict, total=False):
    """Options of the command line. An option that was not given is None or an empty tuple."""

    http: tuple[str, ...]
    websocket: tuple[str, ...]
    admin: str | None
    redis: str | None
    workers: int | str | None


def load(path: str | None, overrides: Overrides, *, again: bool = False) -> Settings:
    """Read the file at `path`, or cometify.toml if there is one. An option in `overrides` wins over the file.

    Raises `SettingsError`. Without a file one account is made up. `again`: the server is serving already, so a pipe is
    refused. All listeners would wait until somebody writes to it.
    """
    options = _read_options(path, overrides)
    file = Path(path or DEFAULT_FILE)
    if path is None and not file.exists():
        return _settings({}, options, (_made_up_account(),), {}, made_up=True)
    if again and file.is_fifo():
        raise SettingsError(f"{file}: is a pipe, which can be read at the start alone: write the settings into a file.")
    try:
        content = read_at_most(file, _MOST_BYTES)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise SettingsError(f"{error}.") from None
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))  # Some editors begin a file with a byte order mark.
    except (ValueError, RecursionError) as error:  # tomllib has no error of its own for long numbers and deep arrays
        raise SettingsError(f"{file}: is not valid TOML ({error}).") from None
    try:
        return _read_all(table, options)
    except SettingsError as error:
        raise SettingsError(" ".join(f"{file}: {error}".split())) from None  # Names in the file can hold newlines.


def _read_options(path: str | None, overrides: Overrides) -> Values:
    """Read the options that were given. An empty value is an error and never a default."""
    if path == "":
        raise SettingsError("--config: must name a file.")
    given: Table = {}
    for name, value in overrides.items():
        if isinstance(value, tuple):
            if value:
                given[name] = list(value)
        elif value is not None:
            given[name] = value
    return read_values(given, SERVER, "--")


def _read_all(table: Table, options: Values) -> Settings:
    accounts, defaults = table.pop("account", None), table.pop("defaults", {})
    check_keys(table, SERVER, "")  # Before the accounts, because a misspelled [[accounts]] is an unknown key.
    # A value that an option overrides is not read, so that an option can replace a wrong value of the file.
    overridden = {*options, *(REDIS_SOURCES if "redis" in options else ())}
    rest = {name: value for name, value in table.items() if name not in overridden}
    values = read_values(rest, SERVER, "")
    checked = read_defaults(defaults)
    read = read_accounts(accounts, checked, may_be_none="accounts" in values)
    return _settings(values, options, read, checked, made_up=False)


def _made_up_account() -> Account:
    return Account(str(secrets.randbelow(9 * 10**7) + 10**7), (secrets.token_urlsafe(24),))


def _settings(
    values: Values, options: Values, accounts: tuple[Account, ...], defaults: Table, *, made_up: bool
) -> Settings:
    _take_redis(values)
    fields = {FIELDS[name]: value for name, value in {**values, **options}.items()}
    settings = Settings(accounts=accounts, defaults=defaults, made_up=made_up, **fields)
    check_together(settings)
    return settings


def _take_redis(values: Values) -> None:
    """Give the URL of Redis its own name, wherever it stood. Raises `SettingsError` if it stood in two places."""
    given = [name for name in REDIS_SOURCES if name in values]
    if len(given) > 1:
        raise SettingsError(f"{given[1]}: gives Redis a second time, beside {given[0]}; leave one of them out.")
    if given:
        values["redis"] = values.pop(given[0])


def need_a_restart(before: Settings, now: Settings) -> list[str]:
    """Return the keys of the server whose values differ. A running server does not follow them."""
    return [name for name, field in FIELDS.items() if getattr(before, field) != getattr(now, field)]


def as_table(settings: Settings) -> Table:
    """Return the table that a file would hold, in types that JSON knows. `read_table` is the inverse."""
    table: Table = {}
    for name, field in FIELDS.items():
        value = getattr(settings, field)
        if isinstance(value, RedisURL):
            table[name] = [one.url for one in value.all] if value.others else value.url
        elif isinstance(value, AccountStoreURL):
            table[name] = str(value)
        elif value is not None:
            table[name] = list(map(str, value)) if isinstance(value, tuple) else value
    accounts = [attrs.asdict(account, recurse=False) for account in settings.accounts]
    table["defaults"] = dict(settings.defaults)
    table["account"] = [{name: value for name, value in one.items() if value is not None} for one in accounts]
    if not accounts:
        del table["account"]
    return table


def read_table(table: Table) -> Settings:
    """Return the settings of a table that has the form of a file. Raises `SettingsError`."""
    return _read_all(table, {})
