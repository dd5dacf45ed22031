"""Listeners of another account, on all nodes and transports, that must notice nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any

from bench.rig import wire
from bench.rig.account import KEY, SECRET
from bench.rig.client import Client, Group
from bench.rig.node import HostPort
from bench.rig.transports import Transport, events, stream, websocket

TRANSPORTS: tuple[Transport, ...] = (websocket, stream, events)
CHANNEL = "bystanders"


class Bystander:
    """One listener. `noticed`: what it got besides pushes and heartbeats, and the end of its connection."""

    def __init__(self, number: int, address: HostPort) -> None:
        self.pushes = 0
        self.noticed: list[str] = []
        self.joined = asyncio.Event()
        self._client = Client(f"bystander{number:05}", [Group((CHANNEL,), right=False)])
        self._transport = TRANSPORTS[number % len(TRANSPORTS)]
        self._address = address
        self._task = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        streams = await asyncio.open_connection(*self._address)
        try:
            async for frame in self._transport(streams, self._client):
                self._take(frame)
            self.noticed.append("the connection ended")
        except (OSError, EOFError, ValueError) as error:
            self.noticed.append(f"the connection broke ({type(error).__name__})")
        finally:
            self.joined.set()
            wire.close(streams[1])

    def _take(self, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "push":
            self.pushes += 1
        elif kind == "ready" and not self.joined.is_set():
            self.joined.set()
        elif kind != "heartbeat":
            self.noticed.append(kind)

    async def leave(self) -> None:
        """Close the connection."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def gather_bystanders(count: int, addresses: Sequence[HostPort]) -> list[Bystander]:
    """Let so many listeners join, on the nodes in turn."""
    found = [Bystander(number, addresses[number % len(addresses)]) for number in range(count)]
    await asyncio.gather(*[one.joined.wait() for one in found])
    return found


async def push_to_bystanders(address: HostPort, text: str) -> None:
    """Push one text to them. Raises AssertionError if it is refused."""
    answer = await ask(address, "POST", f"/{KEY}/push/{CHANNEL}", {"text": text, "secret": 0}, SECRET)
    assert answer.status == 200, answer


async def ask(address: HostPort, method: str, target: str, body: object = None, token: str = "") -> wire.Answer:
    """Send a request with a JSON body, and `token` as the Bearer."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        data = wire.compact({} if body is None else body)
        headers = {"Content-Type": "application/json", "Connection": "close"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if method != "POST":
            headers["Content-Length"] = str(len(data))
        writer.write(wire.request(method, target, headers, data))
        return await wire.read_answer(reader)
    finally:
        wire.close(writer)
