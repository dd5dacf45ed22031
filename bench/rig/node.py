"""A node: one `twistd cometify`, perhaps with a clock or a network of its own."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.campaigns.faults.listener import Place
from bench.rig import wire
from bench.rig.ports import free_port
from bench.rig.processes import Process
from bench.speed.servers.cometify import KEY, SECRET


class Node(Process):
    """`settings`: what stands in its file beside its ports; `prefix`: what the command is started by; `host`: where;
    `account`: what is not as it comes.
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
    ) -> None:
        self.place: Place = (host, free_port())
        self._admin: Place = (host, free_port())
        config = folder / f"{name}.toml"
        config.write_text(self._config(settings, account or {}))
        command = [*prefix, *twistd, "-n", "--pidfile=", "cometify", "--config", str(config)]
        super().__init__(name, folder, command, {"PYTHONUNBUFFERED": "1", **environment})

    def _config(self, settings: Mapping[str, Any], account: Mapping[str, Any]) -> str:
        table = {
            "http": [f"tcp:{self.place[1]}:interface={self.place[0]}"],
            "websocket": [],
            "admin": f"tcp:{self._admin[1]}:interface={self._admin[0]}",
            "heartbeat": 1,
            "drain": 1,
            **settings,
        }
        account = {"api_key": KEY, "api_secret": SECRET, "listeners_per_ip": 100_000, **account}
        lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
        lines += ["[[account]]", *(f"{name} = {json.dumps(value)}" for name, value in account.items())]
        return "\n".join(lines) + "\n"

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        await self.launched(self.ready)

    async def ready(self) -> bool:
        """Whether it has what it needs to serve. Raises AssertionError where it has ended."""
        assert self.runs, f"{self.name} has ended: {self.told()}"
        return await self.health("ready") == 200

    async def unready(self) -> bool:
        """Whether it says that it lacks what it needs."""
        return await self.health("ready") == 503

    async def health(self, which: str) -> int:
        """The status of /health/live or /health/ready; 0 where there is no answer."""
        try:
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection(*self._admin)
                try:
                    writer.write(wire.request("GET", f"/health/{which}", {"Connection": "close"}))
                    return (await wire.read_head(reader))[0]
                finally:
                    wire.close(writer)
        except (OSError, EOFError):
            return 0
