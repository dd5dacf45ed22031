"""Requests of a back end to the server: the newest position, and pushes."""

import asyncio
import json
from types import TracebackType
from typing import Any, Self

from bench.rig import wire
from bench.rig.account import KEY, SECRET
from bench.rig.node import HostPort

_HEADERS = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}


class BackEnd:
    """One connection to the server, which is opened at the first request and kept."""

    def __init__(self, node: HostPort) -> None:
        self._node = node
        self._streams: wire.Streams | None = None

    async def position(self) -> int:
        """Return the newest position."""
        return int((await self._ask(wire.request("GET", f"/{KEY}/position")))["position"])

    async def push(self, identifier: str, data: Any, push_id: int | None) -> None:
        """Push data to all listeners of the identifier."""
        body = wire.compact({"secret": 0, "data": data, "push_id": push_id})
        await self._ask(wire.request("POST", f"/{KEY}/push/{identifier}", _HEADERS, body))

    async def _ask(self, request: bytes) -> dict[str, Any]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._node)
        reader, writer = self._streams
        writer.write(request)
        answer = await wire.read_answer(reader)
        assert answer.status == 200, answer
        return dict(json.loads(answer.body))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._streams is not None:
            wire.close(self._streams[1])
