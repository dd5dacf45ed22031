"""Checks of values that must fit each other or the machine, and warnings of values that should be changed."""

import os
import re
import ssl
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from cometify.config.account_store_url import AccountStoreURL
from cometify.config.named_files import MOST_CERTIFICATES, read_regular
from cometify.config.readers import MAKE_SECRET
from cometify.config.redis_url import RedisURL
from cometify.config.settings import Settings, SettingsError

SHORT_SECRET = 12
"""Characters. A shorter secret can be guessed by anybody who has a key that was made with it."""
_SHARED = re.compile(r"(haproxy:)*(tcp6?|ssl):")
"""Endpoints that several processes can listen on at once."""


def check_together(settings: Settings) -> None:
    """Check that the settings fit each other. Raises `SettingsError`."""
    if settings.redis_wait and settings.redis is None:
        raise SettingsError(
            'redis_wait: there is no Redis to wait for; set redis = "redis://…", or leave redis_wait out.'
        )
    if settings.keep_bytes_total is not None and settings.redis is not None:
        raise SettingsError(
            "keep_bytes_total: bounds what is kept in this process, and with redis the pushes are kept there; set maxmemory "
            "in Redis, and leave keep_bytes_total out."
        )
    if settings.account_store is not None and settings.account_store.path is None and settings.redis is None:
        raise SettingsError(
            'accounts: "redis" is the Redis of the setting redis; set redis = "redis://…", or keep the accounts in a file '
            'of SQLite: accounts = "sqlite:///var/lib/cometify/accounts.db".'
        )
    for account in settings.accounts:
        if account.webhook is not None and account.webhook.startswith("http:") and not settings.webhook_networks:
            raise SettingsError(
                f"account {account.api_key}: webhook: must begin with https://, or webhook_networks must name the network of "
                'its host, such as ["127.0.0.1"].'
            )
    if settings.traces is not None and not _has("opentelemetry.exporter.otlp.proto.http"):
        raise SettingsError(
            "traces: the packages of OpenTelemetry are missing; run pip install 'cometify[otel]', or leave traces out."
        )
    if settings.workers > 1:
        _check_workers(settings)


def _has(module: str) -> bool:
    """Return True if a module could be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package that it is in
        return False


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
        doubt = doubt_of_secrets(account.api_key, account.api_secrets)
        if doubt is not None:
            yield doubt


def doubt_of_secrets(api_key: str, api_secrets: Iterable[str]) -> str | None:
    """Return a warning of one line if a secret of the account can be guessed. It holds no secret."""
    if min(map(len, api_secrets)) >= SHORT_SECRET:
        return None
    return (
        f"account {api_key}: its API secret has fewer than {SHORT_SECRET} characters and can be guessed; {MAKE_SECRET}"
    )


def check_account_store(url: AccountStoreURL) -> None:
    """Check that the folder of the accounts is there. Raises `SettingsError`."""
    if url.path is not None and not (url.path.parent.is_dir() and os.access(url.path.parent, os.W_OK)):
        raise SettingsError(
            f"accounts: {url.path.parent}: must be a folder that the server can write to, because SQLite makes a journal there."
        )


def check_authority(redis: RedisURL) -> None:
    """Check that the certificates that verify Redis can be read. Raises `SettingsError`."""
    try:
        if redis.ca is not None:
            read_regular(Path(redis.ca), MOST_CERTIFICATES)
        ssl.create_default_context(cafile=redis.ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"redis: {redis.ca}: cannot be read as certificates ({error.strerror or error}).") from None
    except ValueError as error:
        raise SettingsError(f"redis: {error}.") from None
