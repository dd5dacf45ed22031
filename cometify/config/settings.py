"""Frozen settings out of a TOML file and the command line. Every error is one line that names the key and the reason."""

import re
import secrets
import ssl
import tomllib
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import attrs

from cometify.config.redis_url import RedisURL, read_redis_url
from cometify.core.account import Account

DEFAULT_FILE = "cometify.toml"
_API_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RESERVED = ("latest",)
_SHARED = re.compile(r"(haproxy:)*(tcp6?|ssl):")
"""Endpoints on which several processes can listen at once."""
PLACEHOLDERS = ("…", "...", "YOUR_API_SECRET")
"""What our own examples have there."""
SHORT = 12
"""Characters below which a secret can be found by trying, by whoever has a key that was made with it."""
MAKE_ONE = "make one with: openssl rand -base64 24"
_ORIGIN = re.compile(r"https?://[^/?#\s]+|null")


class SettingsError(Exception):
    """The settings cannot be used. The message is one line for whoever starts the server."""


@attrs.frozen
class Settings:
    """What a server is started with."""

    accounts: tuple[Account, ...]
    http: tuple[str, ...] = ("tcp:8081",)
    websocket: tuple[str, ...] = ("tcp:2323",)
    admin: str = "tcp:8082:interface=127.0.0.1"
    trusted_proxies: tuple[Any, ...] = ()
    redis: RedisURL | None = None
    """Where pushes are kept, and what makes several nodes one service; None: in memory."""
    redis_wait: int = 0
    """Replicas of Redis that must have a push before its publisher is answered."""
    heartbeat: int = 25
    """Seconds between two heartbeats."""
    drain: int = 10
    """Seconds that SIGTERM takes at most."""
    workers: int = 1
    """Processes that serve the same ports."""
    made_up: bool = False
    """The account was made up, for there is no file."""


def load(path: str | None, overrides: Mapping[str, Any]) -> Settings:
    """Read `path`, or cometify.toml if that is there; options in `overrides` win over the file. Raises `SettingsError`."""
    file = Path(path or DEFAULT_FILE)
    if path is None and not file.exists():
        return _settings({}, overrides, (_made_up_account(),), made_up=True)
    try:
        table = tomllib.loads(file.read_text("utf-8-sig"))  # some editors put a mark before all
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: is not valid TOML ({error}).") from None
    try:
        return _read_all(table, overrides)
    except SettingsError as error:
        raise SettingsError(" ".join(f"{file}: {error}".split())) from None  # one line, whatever stood in the file


def _read_all(table: dict[str, Any], overrides: Mapping[str, Any]) -> Settings:
    accounts = table.pop("account", None)
    _check_keys(table, _TOP, "")  # before the accounts: [[accounts]] is such a key
    return _settings(table, overrides, _accounts(accounts), made_up=False)


def _made_up_account() -> Account:
    return Account(str(secrets.randbelow(9 * 10**7) + 10**7), (secrets.token_urlsafe(24),))


def _settings(
    table: dict[str, Any], overrides: Mapping[str, Any], accounts: tuple[Account, ...], *, made_up: bool
) -> Settings:
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in overrides.items() if value}
    values = _read_table({**table, **given}, _TOP, "")
    settings = Settings(accounts=accounts, made_up=made_up, **values)
    if settings.redis_wait and settings.redis is None:
        raise SettingsError('redis_wait: there is no Redis to wait for: set redis = "redis://…", or leave this out.')
    if settings.workers > 1:
        _check_workers(settings)
    return settings


def _check_workers(settings: Settings) -> None:
    """Whether several processes can be one service with these settings. Raises `SettingsError`."""
    if settings.redis is None:
        raise SettingsError(
            f'workers: {settings.workers} of them would each have pushes of its own: set redis = "redis://…", which makes '
            "them one service, or workers = 1."
        )
    for key, endpoints in (("http", settings.http), ("websocket", settings.websocket)):
        for endpoint in endpoints:
            if not _SHARED.match(endpoint):
                raise SettingsError(
                    f'{key}: "{endpoint}" cannot be shared by several workers, only tcp, tcp6 and ssl can, and haproxy '
                    "before one of them; or set workers = 1."
                )


def doubts(settings: Settings) -> Iterator[str]:
    """What can be used and should not be. A line each, without a secret in it."""
    for account in settings.accounts:
        if min(map(len, account.api_secrets)) < SHORT:
            yield f"account {account.api_key}: its API secret has fewer than {SHORT} characters and can be guessed; {MAKE_ONE}"


def check_authority(redis: RedisURL) -> None:
    """Whether there are the certificates by which Redis is to be verified. Raises `SettingsError`."""
    try:
        ssl.create_default_context(cafile=redis.ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"redis: {redis.ca}: cannot be read as certificates ({error.strerror or error}).") from None


def need_a_restart(before: Settings, now: Settings) -> list[str]:
    """The keys whose values are others, of those that are read when a server starts."""
    return [name for name in _TOP if getattr(before, name) != getattr(now, name)]


def as_table(settings: Settings) -> dict[str, Any]:
    """What a file would say, in types that JSON knows. `read_table` gives the settings back."""
    table: dict[str, Any] = {}
    for name in _TOP:
        value = getattr(settings, name)
        if isinstance(value, RedisURL):
            table[name] = value.url
        elif value is not None:
            table[name] = list(map(str, value)) if isinstance(value, tuple) else value
    accounts = [attrs.asdict(account, recurse=False) for account in settings.accounts]
    table["account"] = [{name: value for name, value in one.items() if value is not None} for one in accounts]
    return table


def read_table(table: dict[str, Any]) -> Settings:
    """The settings that a table, as a file holds it, says. Raises `SettingsError`."""
    return _read_all(table, {})


def _check_keys(table: dict[str, Any], readers: Mapping[str, Callable[[Any], Any]], where: str) -> None:
    for name in sorted(table.keys() - readers.keys()):
        if name in _TOP:
            raise SettingsError(f"{where}{name}: is no account's: write it above the first [[account]].")
        if name in _ACCOUNT:
            raise SettingsError(f"{name}: is an account's: write it below a line [[account]].")
        raise SettingsError(f"{where}{name}: there is no such key; known are {', '.join(readers)}.")


def _read_table(table: dict[str, Any], readers: Mapping[str, Callable[[Any], Any]], where: str) -> dict[str, Any]:
    _check_keys(table, readers, where)
    values = {}
    for name, value in table.items():
        try:
            values[name] = readers[name](value)
        except ValueError as error:
            raise SettingsError(f"{where}{name}: {error}.") from None
    return values


def _accounts(tables: Any) -> tuple[Account, ...]:
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise SettingsError("account: write at least one [[account]], so spelled, with api_key and api_secret.")
    accounts = tuple([_account(table, f"account {number}: ") for number, table in enumerate(tables, 1)])
    keys = [account.api_key for account in accounts]
    for key in keys:
        if keys.count(key) > 1:
            raise SettingsError(f"api_key: {key} stands in two accounts.")
    return accounts


def _account(table: dict[str, Any], where: str) -> Account:
    values = _read_table(table, _ACCOUNT, where)
    if ("api_secret" in values) == ("api_secrets" in values):
        raise SettingsError(f"{where}api_secret: give either it or api_secrets (two while one is being replaced).")
    if "api_key" not in values:
        raise SettingsError(f"{where}api_key: is missing.")
    one = values.pop("api_secret", None)
    if one is not None:
        values["api_secrets"] = (one,)
    return Account(**values)


def _whole(lowest: int, highest: int = 2**62) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise ValueError(f"must be a whole number from {lowest}" + (f" to {highest}" if highest < 2**62 else " on"))
        return value

    return read


def _string(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a string that is not empty")
    return value


def _secret(value: Any) -> str:
    if _string(value) in PLACEHOLDERS:
        raise ValueError(f'"{value}" stands for one of your own: {MAKE_ONE}')
    return str(value)


def _secrets(value: Any) -> tuple[str, ...]:
    return tuple([_secret(secret) for secret in _strings(1, 2)(value)])


def _strings(lowest: int, highest: int = 1000) -> Callable[[Any], tuple[str, ...]]:
    def read(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not lowest <= len(value) <= highest:
            raise ValueError(f"must be an array of {lowest} to {highest} strings")
        return tuple([_string(item) for item in value])

    return read


def _api_key(value: Any) -> str:
    # The seed writes keys as numbers, so somebody will here.
    if not isinstance(value, str) or not _API_KEY.fullmatch(value):
        raise ValueError('must be a string of 1 to 64 of A-Z, a-z, 0-9, _ and -, e.g. "37282591"')
    if value in _RESERVED:
        raise ValueError(f'"{value}" is a path of the server\'s own')
    return value


def _networks(value: Any) -> tuple[Any, ...]:
    try:
        return tuple([ip_network(item, strict=False) for item in _strings(0)(value)])
    except ValueError as error:
        raise ValueError(f"must be an array of addresses or networks ({error})") from None


def _origins(value: Any) -> tuple[str, ...]:
    origins = _strings(1)(value)
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f'"{origin}" is no origin: write scheme and host, e.g. "https://www.example.org"')
    return origins


def _signatures(value: Any) -> str:
    if value not in ("any", "v2"):
        raise ValueError('must be "any" or "v2" (pushes must be signed with HMAC)')
    return str(value)


_TOP: dict[str, Callable[[Any], Any]] = {
    "http": _strings(1),
    "websocket": _strings(0),
    "admin": _string,
    "trusted_proxies": _networks,
    "redis": read_redis_url,
    "redis_wait": _whole(0, 100),
    "heartbeat": _whole(1, 300),
    "drain": _whole(0, 3600),
    "workers": _whole(1, 1000),
}
_ACCOUNT: dict[str, Callable[[Any], Any]] = {
    "api_key": _api_key,
    "api_secret": _secret,
    "api_secrets": _secrets,
    "listeners_per_ip": _whole(1),
    "buffer_pushes": _whole(1),
    # A frame of the longest text can be six times as long in JSON: less could not keep one.
    "buffer_bytes": _whole(512 * 1024),
    "keep_bytes": _whole(512 * 1024),
    "signature_memory": _whole(0),
    "origins": _origins,
    "signatures": _signatures,
}
