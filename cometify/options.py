"""The command line of `twistd cometify`."""

from typing import Any, ClassVar

from twisted.python import usage

from cometify.settings import Settings, SettingsError, load


class Options(usage.Options):
    """An option overrides the file."""

    synopsis = "[options]"
    longdesc = (
        "Serves Cometify: pushes by HTTP POST, listeners over WebSocket, HTTP streaming and long polling. "
        "Without a configuration one account is made up, and its API key and secret are printed."
    )
    optParameters: ClassVar = [
        ["config", "c", None, "The configuration file (TOML). Default: cometify.toml if it is there."],
        ["admin", None, None, "The endpoint for health checks. Default: tcp:8082:interface=127.0.0.1"],
        ["workers", None, None, "How many processes serve the same ports; several need Redis. Default: 1"],
        ["redis", None, None, "The URL of a Redis that keeps the pushes. Default: they are kept in memory."],
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

    def overrides(self) -> dict[str, Any]:
        """What stands on the command line."""
        workers = self["workers"]
        if workers and workers.isascii() and workers.isdigit():
            workers = int(workers)
        return {**self.lists, "admin": self["admin"], "redis": self["redis"], "workers": workers}

    def postOptions(self) -> None:
        try:
            self.settings = load(self["config"], self.overrides())
        except SettingsError as error:
            raise SystemExit(f"cometify: {error}") from None  # one line, without the usage around it
