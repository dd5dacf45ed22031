"""Frozen settings of a server and its accounts."""

from collections.abc import Mapping

import attrs

from cometify.config.account_store_url import AccountStoreURL
from cometify.config.readers import Network
from cometify.config.redis_url import RedisURL
from cometify.core.account import Account


class SettingsError(Exception):
    """The settings cannot be used. The message is one line for the person who starts the server."""


@attrs.frozen
class Settings:
    """The settings of a server."""

    accounts: tuple[Account, ...]
    """The accounts of the file."""
    defaults: Mapping[str, object] = attrs.field(factory=dict)
    """The table `[defaults]`: settings of all accounts that do not have their own."""
    account_store: AccountStoreURL | None = None
    """The place of accounts that can be added, changed and removed while the server runs. None: those of the file are all."""
    http: tuple[str, ...] = ("tcp:8081",)
    """Endpoints for everything, in Twisted's syntax."""
    websocket: tuple[str, ...] = ("tcp:2323",)
    """Endpoints for WebSocket alone."""
    admin: str = "tcp:8082:interface=127.0.0.1"
    """The endpoint for health checks, metrics and the console."""
    admin_hosts: tuple[str, ...] = ()
    """Host names with a dot under which the admin endpoint answers."""
    admin_token_file: str | None = None
    """A file with the token that requests about accounts need. None: they are answered to this machine alone."""
    trusted_proxies: tuple[Network, ...] = ()
    """Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    connections_per_ip: int | None = None
    """Connections that one address may have at once. 0: any number. None: a tenth of the file descriptors."""
    redis: RedisURL | None = None
    """The Redis that keeps the pushes and makes several nodes one service. None: they are kept in memory."""
    redis_wait: int = 0
    """Replicas of Redis that must have a push before its publisher is answered."""
    heartbeat: int = 25
    """Seconds between two heartbeats."""
    drain: int = 10
    """The most seconds that a stop by SIGTERM takes."""
    workers: int = 1
    """Processes that serve the same ports."""
    worker_timeout: int = 30
    """Seconds without a sign of life after which a worker that computes is killed and replaced. 0: no silent worker is."""
    log_format: str = "text"
    """The form of the log on standard output: text or json."""
    joins_per_second: int | None = None
    """The most new listeners a second in one process; None: as many as come."""
    keep_bytes_total: int | None = None
    """The most bytes of frames that the engine in memory keeps for all accounts together. Public and secret pushes get one
    half each. None: only `keep_bytes` counts."""
    webhook_networks: tuple[Network, ...] = ()
    """Networks that are not public and that webhooks may reach, without TLS too."""
    pages: bool = True
    """True if the page at / and the documentation at /docs are served."""
    account_metrics: bool = False
    """True if /metrics tells the figures of each account, with its API key as a label."""
    traces: str | None = None
    """The URL of a collector of OpenTelemetry that gets traces of pushes. None: pushes are not traced."""
    traces_ratio: float = 0.01
    """The share of the pushes without `traceparent` that are traced."""
    made_up: bool = False
    """True if there is no file and the account was made up for this run."""
