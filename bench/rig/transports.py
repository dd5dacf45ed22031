"""How frames come: a connection on each transport, or one poll, as an iterator of frames."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from bench.rig import wire
from bench.rig.client import Page, Refused
from bench.speed.servers.cometify import KEY

Frames = AsyncIterator[dict[str, Any]]
Way = Callable[[wire.Streams, Page], Frames]


async def websocket(streams: wire.Streams, page: Page) -> Frames:
    """A WebSocket that says what it listens to in its first message."""
    reader, writer = streams
    writer.write(wire.request("GET", f"/{KEY}/websocket", wire.UPGRADE))
    status, headers = await wire.read_head(reader)
    if status != 101:
        raise await _refusal(reader, status, headers)
    writer.write(wire.frame(wire.compact(page.listen()), wire.TEXT))
    while True:
        opcode, data = await wire.read_message(reader)
        if opcode == wire.TEXT:
            yield json.loads(data)
        elif opcode == wire.CLOSE:
            return


async def stream(streams: wire.Streams, page: Page) -> Frames:
    """A stream of lines."""
    reader, writer = streams
    writer.write(wire.request("POST", f"/{KEY}/stream", body=wire.compact(page.listen())))
    async for line in _lines(reader, b"\n"):
        yield json.loads(line)


async def events(streams: wire.Streams, page: Page) -> Frames:
    """An event stream, which has one group and resumes as an EventSource does."""
    reader, writer = streams
    (group,) = page.groups
    query = f"identifiers={','.join(group.names)}&listener={page.name}"
    if group.right:
        query += f"&secureKey={wire.secure_key(*group.names)}"
    headers = {} if group.position is None else {"Last-Event-ID": str(group.position)}
    writer.write(wire.request("GET", f"/{KEY}/events?{query}", headers))
    async for event in _lines(reader, b"\n\n"):
        fields = dict(line.partition(": ")[::2] for line in event.decode().split("\n"))
        if "data" in fields:
            yield json.loads(fields["data"])


async def poll(streams: wire.Streams, page: Page) -> Frames:
    """One poll after the other on the same connection."""
    while True:
        async for frame in hop(streams, page):
            yield frame


async def hop(streams: wire.Streams, page: Page) -> Frames:
    """One poll; the next comes on another connection, and often to another node."""
    reader, writer = streams
    writer.write(wire.request("POST", f"/{KEY}/poll", body=wire.compact(page.listen())))
    answer = await wire.read_answer(reader)
    if answer.status != 200:
        raise _problem(answer.status, answer.body)
    for line in answer.body.splitlines():
        yield json.loads(line)


WAYS: dict[str, Way] = {"websocket": websocket, "stream": stream, "events": events, "poll": poll, "hop": hop}


async def _lines(reader: asyncio.StreamReader, end: bytes) -> AsyncIterator[bytes]:
    status, headers = await wire.read_head(reader)
    if status != 200:
        raise await _refusal(reader, status, headers)
    text = b""
    async for chunk in wire.read_body(reader, headers):
        *lines, text = (text + chunk).split(end)
        for line in lines:
            yield line


async def _refusal(reader: asyncio.StreamReader, status: int, headers: dict[str, str]) -> Refused:
    return _problem(status, await reader.readexactly(int(headers.get("content-length", "0"))))


def _problem(status: int, body: bytes) -> Refused:
    problem = json.loads(body)
    return Refused(problem["code"], problem["detail"], retry=status in (429, 503))
