"""The transports of the public edge as iterators of frames: one iterator is one connection, or one poll for `hop`."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from bench.rig import wire
from bench.rig.account import KEY
from bench.rig.client import Client, Refused

Frames = AsyncIterator[dict[str, Any]]
Transport = Callable[[wire.Streams, Client], Frames]


class Joins(Protocol):
    """Anything that can say what it listens to, each time it joins."""

    def listen_frame(self) -> dict[str, Any]:
        """The `listen` frame with which it joins now."""


async def websocket(streams: wire.Streams, client: Joins) -> Frames:
    """Listen over a WebSocket. The `listen` frame is its first message."""
    reader, writer = streams
    writer.write(wire.request("GET", f"/{KEY}/websocket", wire.UPGRADE))
    status, headers = await wire.read_head(reader)
    if status != 101:
        raise await _read_refusal(reader, status, headers)
    writer.write(wire.frame(wire.compact(client.listen_frame()), wire.TEXT))
    while True:
        opcode, data = await wire.read_message(reader)
        if opcode == wire.TEXT:
            yield json.loads(data)
        elif opcode == wire.CLOSE:
            return


async def stream(streams: wire.Streams, client: Joins) -> Frames:
    """Listen over a stream of lines."""
    reader, writer = streams
    writer.write(wire.request("POST", f"/{KEY}/stream", body=wire.compact(client.listen_frame())))
    async for line in _lines(reader, b"\n"):
        yield json.loads(line)


async def events(streams: wire.Streams, client: Client) -> Frames:
    """Listen over an event stream, with one group. It resumes with Last-Event-ID, as an EventSource does."""
    reader, writer = streams
    (group,) = client.groups
    query = f"identifiers={','.join(group.names)}&listener={client.name}"
    if group.right:
        query += f"&secureKey={wire.secure_key(*group.names)}"
    headers = {} if group.position is None else {"Last-Event-ID": str(group.position)}
    writer.write(wire.request("GET", f"/{KEY}/events?{query}", headers))
    async for event in _lines(reader, b"\n\n"):
        fields = dict(line.partition(": ")[::2] for line in event.decode().split("\n"))
        if "data" in fields:
            yield json.loads(fields["data"])


async def poll(streams: wire.Streams, client: Joins) -> Frames:
    """Poll again and again on the same connection."""
    while True:
        async for frame in hop(streams, client):
            yield frame


async def hop(streams: wire.Streams, client: Joins) -> Frames:
    """Poll once. The next poll comes on another connection, and often to another node."""
    reader, writer = streams
    writer.write(wire.request("POST", f"/{KEY}/poll", body=wire.compact(client.listen_frame())))
    answer = await wire.read_answer(reader)
    if answer.status != 200:
        raise _refusal(answer.status, answer.body)
    for line in answer.body.splitlines():
        yield json.loads(line)


TRANSPORTS: dict[str, Transport] = {
    "websocket": websocket,
    "stream": stream,
    "events": events,
    "poll": poll,
    "hop": hop,
}


async def _lines(reader: asyncio.StreamReader, end: bytes) -> AsyncIterator[bytes]:
    """Split the body of an answer at each `end`. Raises Refused if the status is not 200."""
    status, headers = await wire.read_head(reader)
    if status != 200:
        raise await _read_refusal(reader, status, headers)
    text = b""
    async for chunk in wire.read_body(reader, headers):
        *lines, text = (text + chunk).split(end)
        for line in lines:
            yield line


async def _read_refusal(reader: asyncio.StreamReader, status: int, headers: dict[str, str]) -> Refused:
    return _refusal(status, await reader.readexactly(int(headers.get("content-length", "0"))))


def _refusal(status: int, body: bytes) -> Refused:
    problem = json.loads(body)
    return Refused(problem["code"], problem["detail"], retry=status in (429, 503))
