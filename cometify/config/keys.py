"""The keys of a file of settings: their readers, and refusals that name them.

Each error is one line that names the key and the reason.
"""

from collections.abc import Mapping
from typing import Any

from cometify.config import readers, secret_sources
from cometify.config.account_store_url import read_account_store_url
from cometify.config.readers import Reader
from cometify.config.redis_url import read_redis_urls
from cometify.config.settings import SettingsError

Table = dict[str, object]
"""A TOML table."""
Values = dict[str, Any]
"""The values of a table after reading. They become fields of `Settings` or `Account`, each with a type of its own."""

SERVER: dict[str, Reader] = {
    "http": readers.texts(1),
    "websocket": readers.texts(0),
    "admin": readers.text,
    "admin_hosts": readers.host_names,
    "admin_token_file": secret_sources.admin_token_file,
    "accounts": read_account_store_url,
    "trusted_proxies": readers.networks,
    "connections_per_ip": readers.whole_number(0),
    "redis": read_redis_urls,
    "redis_file": secret_sources.redis_of_file,
    "redis_env": secret_sources.redis_of_variable,
    "redis_wait": readers.whole_number(0, 100),
    "heartbeat": readers.whole_number(1, 300),
    "drain": readers.whole_number(0, 3600),
    "workers": readers.whole_number(1, 1000),
    "worker_timeout": readers.whole_number(0, 3600),
    "log_format": readers.log_format,
    "joins_per_second": readers.whole_number(1, 1_000_000),
    "keep_bytes_total": readers.whole_number(512 * 1024),
    "webhook_networks": readers.networks,
    "pages": readers.truth,
    "account_metrics": readers.truth,
    "traces": readers.collector,
    "traces_ratio": readers.share,
}
"""The keys of the server, above the first [[account]]."""
REDIS_SOURCES = ("redis", "redis_file", "redis_env")
"""Keys of the server that tell one and the same setting, `redis`."""
FIELDS: dict[str, str] = {
    name: "account_store" if name == "accounts" else name for name in SERVER if name not in REDIS_SOURCES[1:]
}
"""The field of `Settings` that each key of the server becomes."""
ACCOUNT: dict[str, Reader] = {
    "api_key": readers.api_key,
    "api_secret": readers.secret,
    "api_secrets": readers.secrets,
    "api_secret_file": secret_sources.secret_of_file,
    "api_secrets_file": secret_sources.secrets_of_file,
    "api_secret_env": secret_sources.secret_of_variable,
    "suspended": readers.truth,
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
    "edge": readers.truth,
    "webhook": readers.webhook,
}
"""The keys of an account."""
SECRET_SOURCES = ("api_secret", "api_secrets", "api_secret_file", "api_secrets_file", "api_secret_env")
"""Keys of an account that tell its secrets. It has one of them."""
OF_ONE_ACCOUNT = ("api_key", *SECRET_SOURCES, "suspended", "webhook")
"""Keys that cannot be a default of all accounts."""
DEFAULTS: dict[str, Reader] = {name: reader for name, reader in ACCOUNT.items() if name not in OF_ONE_ACCOUNT}
"""The keys of the table [defaults]."""


def check_keys(table: Table, known: Mapping[str, Reader], where: str) -> None:
    """Refuse keys that are not known. `where`: the beginning of the error. Raises `SettingsError`."""
    for name in sorted(table.keys() - known.keys()):
        if known is DEFAULTS and name in ACCOUNT:
            raise SettingsError(f"{where}{name} is a setting of one account; move it below its line [[account]].")
        if name in SERVER:
            raise SettingsError(f"{where}{name} is a server setting; move it above the first [[account]].")
        if name in ACCOUNT:
            raise SettingsError(f"{name} is a setting of an account; move it below a line [[account]].")
        raise SettingsError(f"{where}{name}: there is no such key; the keys are {', '.join(known)}.")


def read_values(table: Table, known: Mapping[str, Reader], where: str) -> Values:
    """Read all values of a table. `where`: the beginning of an error. Raises `SettingsError`."""
    check_keys(table, known, where)
    values = {}
    for name, value in table.items():
        try:
            values[name] = known[name](value)
        except ValueError as error:
            raise SettingsError(f"{where}{name}: {error}.") from None
    return values
