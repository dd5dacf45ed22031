"""An audience of the edge: many listeners of the same identifiers, each with a connection of its own.

They do what the browser client does: they join without a position, and then poll from the position of the last answer.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_AGAIN = 0.2
"""Seconds until a listener asks again that was refused, or whose connection was lost."""


class Listener(asyncio.Protocol):
    """One listener. `heard`: the texts of its pushes. `kinds`: those of all other frames. `waits`: it asks for nothing now."""

    def __init__(self, audience: "Audience") -> None:
        self._audience = audience
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self.position = ""
        self.heard: list[str] = []
        self.kinds: list[str] = []
        self.waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time on this connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._data = transport, b""
        self.ask()

    def ask(self) -> None:
        """Poll, unless the listener waits."""
        if self._transport is not None and not self.waits:
            position = f"&position={self.position}" if self.position else ""
            self._transport.write(f"GET {self._audience.target}{position} HTTP/1.1\r\nHost: edge\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Read an answer, and ask again."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if not end:
            return
        fields = head.lower().split(b"\r\n")
        (length,) = [int(field[15:]) for field in fields if field.startswith(b"content-length:")]
        if len(body) < length:
            return
        self._data = b""
        self._audience.answers.add(body)
        if head[9:12] != b"200":
            self._audience.refused += 1
            asyncio.get_running_loop().call_later(_AGAIN, self.ask)
            return
        for line in body.splitlines():
            self._take(json.loads(line))
        self._audience.changed.set()
        self.ask()

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "push":
            self.heard.append(frame["text"])
        else:
            self.kinds.append(frame["type"])
        if "position" in frame:
            self.position = str(frame["position"])

    def connection_lost(self, _error: Exception | None) -> None:
        """Connect again, unless the audience has left."""
        self._transport = None
        if not self._audience.has_left:
            asyncio.get_running_loop().call_later(_AGAIN, self._audience.connect, self)

    def leave(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()


class Audience:
    """Listeners of one list of identifiers, at the cache on a port of 127.0.0.1.

    `answers`: the bodies of all answers, each once. `refused`: answers that were refusals. `changed`: set by each other answer.
    """

    def __init__(self, port: int, api_key: str, identifiers: str, many: int) -> None:
        self._port = port
        self.target = f"/{api_key}/poll?identifiers={identifiers}"
        self.listeners = [Listener(self) for _ in range(many)]
        self.answers: set[bytes] = set()
        self.refused = 0
        self.has_left = False
        self.changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def connect(self, listener: Listener) -> None:
        """Open the connection of a listener."""
        task = asyncio.get_running_loop().create_task(self._connect(listener))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, listener: Listener) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: listener, "127.0.0.1", self._port)
        except OSError:
            asyncio.get_running_loop().call_later(_AGAIN, self.connect, listener)

    async def join(self) -> None:
        """Let all listeners join, and wait until each has its first position."""
        for listener in self.listeners:
            self.connect(listener)
        await self._until(lambda: all(listener.position for listener in self.listeners))

    async def heard(self, pushes: int) -> None:
        """Wait until each listener that does not wait has had so many pushes."""
        await self._until(lambda: all(one.waits or len(one.heard) >= pushes for one in self.listeners))

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self.changed.clear()
            await self.changed.wait()

    async def leave(self) -> None:
        """Close all connections."""
        self.has_left = True
        for listener in self.listeners:
            listener.leave()
        for task in list(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
