"""Frozen settings from a TOML file and the command line.

Each error is one line that names the file, the key and the reason.
"""

import re
import secrets
import ssl
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

import attrs

from cometify.config import readers
from cometify.config.readers import MAKE_SECRET, Network, Reader
from cometify.config.redis_url import RedisURL, read_redis_url
from cometify.core.account import Account

DEFAULT_FILE = "cometify.toml"
SHORT_SECRET = 12
"""Characters. A shorter secret can be guessed by anybody who has a key that was made with it."""
_SHARED = re.compile(r"(haproxy:)*(tcp6?|ssl):")
"""Endpoints that several processes can listen on at once."""

Table = dict[str, object]
"""A TOML table."""
Values = dict[str, Any]
"""The values of a table after reading. They become fields of `Settings` or `Account`, each with a type of its own."""


class SettingsError(Exception):
    """The settings cannot be used. The message is one line for the person who starts the server."""


@attrs.frozen
class Settings:
    """The settings of a server."""

    accounts: tuple[Account, ...]
    http: tuple[str, ...] = ("tcp:8081",)
    """Endpoints for everything, in Twisted's syntax."""
    websocket: tuple[str, ...] = ("tcp:2323",)
    """Endpoints for WebSocket alone."""
    admin: str = "tcp:8082:interface=127.0.0.1"
    """The endpoint for health checks, metrics and the inspector."""
    admin_hosts: tuple[str, ...] = ()
    """Host names with a dot under which the admin endpoint answers."""
    trusted_proxies: tuple[Network, ...] = ()
    """Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    connections_per_ip: int | None = None
    """Connections that one address may have at once. 0: any number. None: a tenth of the file descriptors."""
    redis: RedisURL | None = None
    """The Redis that keeps the pushes and makes several nodes one service. None: pushes are kept in memory."""
    redis_wait: int = 0
    """Replicas of Redis that must have a push before its publisher is answered."""
    heartbeat: int = 25
    """Seconds between two heartbeats."""
    drain: int = 10
    """The most seconds that a stop by SIGTERM takes."""
    workers: int = 1
    """Processes that serve the same ports."""
    joins_per_second: int | None = None
    """The most new listeners a second in one process; None: as many as come."""
    keep_bytes_total: int | None = None
    """The most bytes of frames that the engine in memory keeps for all accounts together. Public and secret pushes get one
    half each. None: only `keep_bytes` counts."""
    pages: bool = True
    """True if the page at / and the documentation at /docs are served."""
    made_up: bool = False
    """True if there is no file and the account was made up for this run."""


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
        return _settings({}, options, (_made_up_account(),), made_up=True)
    if again and file.is_fifo():
        raise SettingsError(f"{file}: is a pipe, which can be read at the start alone: write the settings into a file.")
    try:
        table = tomllib.loads(file.read_text("utf-8-sig"))  # Some editors begin a file with a byte order mark.
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror}).") from None
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
    return _read_table(given, _TOP, "--")


def _read_all(table: Table, options: Values) -> Settings:
    accounts = table.pop("account", None)
    _check_keys(table, _TOP, "")  # Before the accounts, because a misspelled [[accounts]] is an unknown key.
    # A value that an option overrides is not read, so that an option can replace a wrong value of the file.
    rest = {name: value for name, value in table.items() if name not in options}
    return _settings(_read_table(rest, _TOP, ""), options, _accounts(accounts), made_up=False)


def _made_up_account() -> Account:
    return Account(str(secrets.randbelow(9 * 10**7) + 10**7), (secrets.token_urlsafe(24),))


def _settings(values: Values, options: Values, accounts: tuple[Account, ...], *, made_up: bool) -> Settings:
    settings = Settings(accounts=accounts, made_up=made_up, **{**values, **options})
    if settings.redis_wait and settings.redis is None:
        raise SettingsError(
            'redis_wait: there is no Redis to wait for; set redis = "redis://…", or leave redis_wait out.'
        )
    if settings.keep_bytes_total is not None and settings.redis is not None:
        raise SettingsError(
            "keep_bytes_total: bounds what is kept in this process, and with redis the pushes are kept there; set maxmemory "
            "in Redis, and leave keep_bytes_total out."
        )
    if settings.workers > 1:
        _check_workers(settings)
    return settings


def _check_workers(settings: Settings) -> None:
    """Check that several processes can be one service with these settings. Raises `SettingsError`."""
    if settings.redis is None:
        raise SettingsError(
            f"workers: {settings.workers} workers without Redis would each keep pushes of their own; set "
            'redis = "redis://…", which makes them one service, or workers = 1.'
        )
    for key, endpoints in (("http", settings.http), ("websocket", settings.websocket)):
        for endpoint in endpoints:
            if not _SHARED.match(endpoint):
                raise SettingsError(
                    f'{key}: several workers cannot share "{endpoint}"; use tcp, tcp6 or ssl, or haproxy before one of '
                    "them, or set workers = 1."
                )


def doubts(settings: Settings) -> Iterator[str]:
    """Yield a warning of one line for each value that can be used and should be changed. No line holds a secret."""
    for account in settings.accounts:
        if min(map(len, account.api_secrets)) < SHORT_SECRET:
            yield (
                f"account {account.api_key}: its API secret has fewer than {SHORT_SECRET} characters and can be guessed; "
                f"{MAKE_SECRET}"
            )


def check_authority(redis: RedisURL) -> None:
    """Check that the certificates that verify Redis can be read. Raises `SettingsError`."""
    try:
        ssl.create_default_context(cafile=redis.ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"redis: {redis.ca}: cannot be read as certificates ({error.strerror or error}).") from None


def need_a_restart(before: Settings, now: Settings) -> list[str]:
    """Return the keys of the server whose values differ. A running server does not follow them."""
    return [name for name in _TOP if getattr(before, name) != getattr(now, name)]


def as_table(settings: Settings) -> Table:
    """Return the table that a file would hold, in types that JSON knows. `read_table` is the inverse."""
    table: Table = {}
    for name in _TOP:
        value = getattr(settings, name)
        if isinstance(value, RedisURL):
            table[name] = value.url
        elif value is not None:
            table[name] = list(map(str, value)) if isinstance(value, tuple) else value
    accounts = [attrs.asdict(account, recurse=False) for account in settings.accounts]
    table["account"] = [{name: value for name, value in one.items() if value is not None} for one in accounts]
    return table


def read_table(table: Table) -> Settings:
    """Return the settings of a table that has the form of a file. Raises `SettingsError`."""
    return _read_all(table, {})


def _check_keys(table: Table, known: Mapping[str, Reader], where: str) -> None:
    for name in sorted(table.keys() - known.keys()):
        if name in _TOP:
            raise SettingsError(f"{where}{name} is a server setting; move it above the first [[account]].")
        if name in _ACCOUNT:
            raise SettingsError(f"{name} is a setting of an account; move it below a line [[account]].")
        raise SettingsError(f"{where}{name}: there is no such key; the keys are {', '.join(known)}.")


def _read_table(table: Table, known: Mapping[str, Reader], where: str) -> Values:
    _check_keys(table, known, where)
    values = {}
    for name, value in table.items():
        try:
            values[name] = known[name](value)
        except ValueError as error:
            raise SettingsError(f"{where}{name}: {error}.") from None
    return values


def _accounts(tables: object) -> tuple[Account, ...]:
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise SettingsError("account: write at least one table [[account]] with api_key and api_secret.")
    accounts = tuple([_account(table, f"account {number}: ") for number, table in enumerate(tables, 1)])
    keys = [account.api_key for account in accounts]
    for key in keys:
        if keys.count(key) > 1:
            raise SettingsError(f"api_key: {key} is the key of two accounts.")
    return accounts


def _account(table: Table, where: str) -> Account:
    values = _read_table(table, _ACCOUNT, where)
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


_TOP: dict[str, Reader] = {
    "http": readers.texts(1),
    "websocket": readers.texts(0),
    "admin": readers.text,
    "admin_hosts": readers.host_names,
    "trusted_proxies": readers.networks,
    "connections_per_ip": readers.whole_number(0),
    "redis": read_redis_url,
    "redis_wait": readers.whole_number(0, 100),
    "heartbeat": readers.whole_number(1, 300),
    "drain": readers.whole_number(0, 3600),
    "workers": readers.whole_number(1, 1000),
    "joins_per_second": readers.whole_number(1, 1_000_000),
    "keep_bytes_total": readers.whole_number(512 * 1024),
    "pages": readers.truth,
}
"""The keys of the server, above the first [[account]]."""
_ACCOUNT: dict[str, Reader] = {
    "api_key": readers.api_key,
    "api_secret": readers.secret,
    "api_secrets": readers.secrets,
    "listeners_per_ip": readers.whole_number(1),
    "listeners": readers.whole_number(1),
    "pushes_per_second": readers.whole_number(1, 1_000_000),
    "push_burst": readers.whole_number(1, 1_000_000),
    "buffer_pushes": readers.whole_number(1),
    # JSON can make the longest text six times as long. A smaller buffer could not keep one such push.
    "buffer_bytes": readers.whole_number(512 * 1024),
    "keep_bytes": readers.whole_number(512 * 1024),
    "signature_memory": readers.whole_number(0),
    # A batch needs a key for each of its 100 pushes.
    "request_memory": readers.whole_number(100),
    "origins": readers.origins,
    "signatures": readers.signatures,
    "private": readers.names_or_prefixes,
    "identifiers": readers.spelling,
}
"""The keys of an account."""
