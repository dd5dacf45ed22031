"""A node: one `twistd cometify` process, if wanted with a clock or a network of its own."""

import asyncio
import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from bench.rig import wire
from bench.rig.account import KEY, SECRET
from bench.rig.ports import free_port
from bench.rig.processes import Process

HostPort = tuple[str, int]
"""Host and port of a server."""


class Node(Process):
    """One Cometify server.

    `settings` are added to its configuration and `account` to its account. `host` is the address that it listens on.
    `address` and `admin` are its two ports. `prefix` stands before the command, for example to run it in a network namespace.
    `admin_port`: a free one by default.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        twistd: list[str],
        settings: Mapping[str, Any],
        environment: Mapping[str, str],
        host: str = "127.0.0.1",
        prefix: tuple[str, ...] = (),
        account: Mapping[str, Any] | None = None,
        admin_port: int | None = None,
    ) -> None:
        self.address: HostPort = (host, free_port())
        self.admin: HostPort = (host, free_port() if admin_port is None else admin_port)
        config = folder / f"{name}.toml"
        config.write_text(self._config(settings, account or {}))
        command = [*prefix, *twistd, "-n", "--pidfile=", "cometify", "--config", str(config)]
        super().__init__(name, folder, command, {"PYTHONUNBUFFERED": "1", **environment})

    def _config(self, settings: Mapping[str, Any], account: Mapping[str, Any]) -> str:
        table = {
            "http": [f"tcp:{self.address[1]}:interface={self.address[0]}"],
            "websocket": [],
            "admin": f"tcp:{self.admin[1]}:interface={self.admin[0]}",
            "heartbeat": 1,
            "drain": 1,
            "connections_per_ip": 0,
            **settings,
        }
        account = {"api_key": KEY, "api_secret": SECRET, "listeners_per_ip": 100_000, **account}
        lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
        lines += ["[[account]]", *(f"{name} = {json.dumps(value)}" for name, value in account.items())]
        return "\n".join(lines) + "\n"

    async def start(self) -> None:
        """Start the node, and wait until it is ready. Raises NotReady."""
        await self.launch_and_wait(self.ready)

    async def ready(self) -> bool:
        """True if the node is ready to serve. Raises AssertionError if its process has ended."""
        assert self.is_running, f"{self.name} has ended: {self.last_output()}"
        return await self.health("ready") == 200

    async def unready(self) -> bool:
        """True if the node says that it is not ready."""
        return await self.health("ready") == 503

    async def health(self, which: str) -> int:
        """Return the status of /health/live or /health/ready, or 0 if there is no answer within five seconds."""
        return (await self._ask_health(which))[0]

    async def time(self) -> float:
        """Return the node's wall clock, in Unix seconds, or 0 if there is no answer within five seconds."""
        _, headers = await self._ask_health("live")
        return parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else 0.0

    async def metrics(self) -> str:
        """Return the text of /metrics."""
        reader, writer = await asyncio.open_connection(*self.admin)
        try:
            writer.write(wire.request("GET", "/metrics", {"Connection": "close"}))
            return (await wire.read_answer(reader)).body.decode()
        finally:
            wire.close(writer)

    async def _ask_health(self, which: str) -> tuple[int, dict[str, str]]:
        try:
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection(*self.admin)
                try:
                    writer.write(wire.request("GET", f"/health/{which}", {"Connection": "close"}))
                    return await wire.read_head(reader)
                finally:
                    wire.close(writer)
        except (OSError, EOFError):
            return 0, {}
