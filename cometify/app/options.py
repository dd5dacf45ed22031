"""The command line of `twistd cometify`."""

import platform
import sys
from typing import Any, ClassVar

from twisted.python import usage

import twisted
from cometify import __version__
from cometify.config.settings import Settings, SettingsError, check_authority, doubts, load
from cometify.runtime.ports import endpoint_of, public_endpoints


def say(line: str) -> None:
    """To whoever has typed the command."""
    sys.stdout.write(line + "\n")


class Options(usage.Options):
    """An option overrides the file."""

    synopsis = "[options]"
    longdesc = (
        "Serves Cometify: pushes by HTTP POST, listeners over WebSocket, HTTP streaming and long polling. "
        "Without a configuration one account is made up, and its API key and secret are printed."
    )
    optParameters: ClassVar = [
        ["config", "c", None, "The configuration file (TOML). Default: cometify.toml if it is there."],
        [
            "admin",
            None,
            None,
            "The endpoint for health checks, metrics and the inspector. Default: tcp:8082:interface=127.0.0.1",
        ],
        ["workers", None, None, "How many processes serve the same ports; several need Redis. Default: 1"],
        ["redis", None, None, "The URL of a Redis that keeps the pushes. Default: they are kept in memory."],
    ]

    optFlags: ClassVar = [
        ["check", None, "Read the configuration, say whether it can be used, and end."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self.lists: dict[str, tuple[str, ...]] = {"http": (), "websocket": ()}
        self.settings: Settings | None = None

    def opt_http(self, endpoint: str) -> None:
        """An endpoint for HTTP, in Twisted's syntax; may be given again. Default: tcp:8081."""
        self.lists["http"] += (endpoint,)

    def opt_websocket(self, endpoint: str) -> None:
        """An endpoint for WebSocket alone; may be given again. Default: tcp:2323."""
        self.lists["websocket"] += (endpoint,)

    def opt_version(self) -> None:
        """Say which Cometify, Twisted and Python this is, and end."""
        say(f"Cometify {__version__}, Twisted {twisted.__version__}, Python {platform.python_version()}")
        raise SystemExit(0)

    def overrides(self) -> dict[str, Any]:
        """What stands on the command line."""
        workers = self["workers"]
        if workers and workers.isascii() and workers.isdigit():
            workers = int(workers)
        return {**self.lists, "admin": self["admin"], "redis": self["redis"], "workers": workers}

    def load(self) -> Settings:
        """What the file and the command line say now. Raises `SettingsError`."""
        return load(self["config"], self.overrides())

    def postOptions(self) -> None:
        try:
            self.settings = self.load()
            if self["check"]:
                self._check(self.settings)
        except SettingsError as error:
            raise SystemExit(f"cometify: {error}") from None  # one line, without the usage around it

    @staticmethod
    def _check(settings: Settings) -> None:
        """Whether the endpoints can be read as well, their certificates too. Nothing is listened on."""
        for key, text in [*public_endpoints(settings), ("admin", settings.admin)]:
            if "systemd:" not in text:  # its sockets are only there when systemd starts it
                endpoint_of(None, key, text)
        if settings.redis is not None:
            check_authority(settings.redis)
        for doubt in doubts(settings):
            say(f"cometify: {doubt}")
        say(f"cometify: the configuration can be used; accounts: {len(settings.accounts)}")
        raise SystemExit(0)
