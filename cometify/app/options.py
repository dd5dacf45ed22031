"""The command line of `twistd cometify`."""

import platform
import sys
import time
from typing import ClassVar

from twisted.python import usage

import twisted
from cometify import __version__
from cometify.config.checks import check_account_store, check_authority, doubts
from cometify.config.settings import Settings, SettingsError
from cometify.config.settings_file import Overrides, load
from cometify.runtime.certificates import Certificates
from cometify.runtime.ports import endpoint_of, public_endpoints


def say(line: str) -> None:
    """Print a line for the person who typed the command."""
    sys.stdout.write(line + "\n")


class Options(usage.Options):
    """The options. Each overrides the file. An empty value is an error and never a default."""

    synopsis = "[options]"
    longdesc = (
        "Serves Cometify: pushes by HTTP POST, listeners over WebSocket, HTTP streaming and long polling. "
        "Without a configuration one account is made up, and its API key and secret are printed."
    )
    optParameters: ClassVar = [
        ["config", "c", None, "The configuration file (TOML). Default: cometify.toml, if it exists."],
        [
            "admin",
            None,
            None,
            "The endpoint for health checks, metrics and the console. Default: tcp:8082:interface=127.0.0.1",
        ],
        ["workers", None, None, "The number of processes that serve the same ports; several need Redis. Default: 1"],
        ["redis", None, None, "The URL of a Redis that keeps the pushes. Default: they are kept in memory."],
    ]

    optFlags: ClassVar = [
        ["check", None, "Check the configuration, print the result, and exit."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self.settings: Settings | None = None
        self._http: tuple[str, ...] = ()
        self._websocket: tuple[str, ...] = ()

    def opt_http(self, endpoint: str) -> None:
        """An endpoint for HTTP, in Twisted's syntax. Can be given several times. Default: tcp:8081."""
        self._http += (endpoint,)

    def opt_websocket(self, endpoint: str) -> None:
        """An endpoint for WebSocket alone. Can be given several times. Default: tcp:2323."""
        self._websocket += (endpoint,)

    def opt_version(self) -> None:
        """Print the versions of Cometify, Twisted and Python, and exit."""
        say(f"Cometify {__version__}, Twisted {twisted.__version__}, Python {platform.python_version()}")
        raise SystemExit(0)

    def overrides(self) -> Overrides:
        """Return the settings that were given on the command line."""
        workers = self["workers"]
        if workers is not None and workers.isascii() and workers.isdigit():
            workers = int(workers)
        return {
            "http": self._http,
            "websocket": self._websocket,
            "admin": self["admin"],
            "redis": self["redis"],
            "workers": workers,
        }

    def load(self, *, again: bool = False) -> Settings:
        """Read the file, with the options of the command line. `again`: see `settings_file.load`. Raises `SettingsError`."""
        return load(self["config"], self.overrides(), again=again)

    def postOptions(self) -> None:
        try:
            self.settings = self.load()
            if self["check"]:
                self._check(self.settings)
        except SettingsError as error:
            raise SystemExit(f"cometify: {error}") from None  # One line, where usage.error would print the usage too.

    @staticmethod
    def _check(settings: Settings) -> None:
        """Check the endpoints and their certificates too. Listens on nothing."""
        certificates: list[Certificates] = []
        for key, text in [*public_endpoints(settings), ("admin", settings.admin)]:
            if "systemd:" not in text:  # Its sockets exist only in a process that systemd started.
                endpoint_of(None, key, text, certificates)
        for one in certificates:
            for fault in one.validity.faults(time.time()):
                say(f"cometify: the certificate of {one.endpoint} {fault}.")
        for redis in () if settings.redis is None else settings.redis.all:
            check_authority(redis)
        if settings.account_store is not None:
            check_account_store(settings.account_store)
        for doubt in doubts(settings):
            say(f"cometify: {doubt}")
        say(f"cometify: the configuration can be used; accounts: {len(settings.accounts)}")
        raise SystemExit(0)
