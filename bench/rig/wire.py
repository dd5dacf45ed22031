"""Requests, answers and frames of the public edge, on asyncio's streams. Shares no code with the server."""

import asyncio
import hashlib
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bench.rig.account import KEY, SECRET

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

TEXT, CLOSE, PING = 1, 8, 9
"""Opcodes of WebSocket frames."""
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
_ABRUPT = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing the socket sends a reset."""


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def md5(text: str) -> str:
    """Return the MD5 of a text in hexadecimal."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def secure(identifier: str, text: str) -> str:
    """Return the signature of a push."""
    return md5(KEY + md5(SECRET) + identifier + text)


def secure_key(*names: str) -> str:
    """Return the key to the secret pushes of exactly these identifiers in this order."""
    return md5(KEY + SECRET + md5(",".join(names)))


def request(method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """Return a whole request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {text}" for name, text in (headers or {}).items()]
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def frame(data: bytes, opcode: int) -> bytes:
    """Return a masked WebSocket frame (RFC 6455, section 5.2) of less than 64 KiB."""
    mask = os.urandom(4)
    length = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126]) + len(data).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Read an answer's head. Returns the status and the headers with names in lower case."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:-2])
    return int(lines[0].split()[1]), {name.lower(): text.strip() for name, _, text in pairs}


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read a whole answer, chunked or with Content-Length."""
    status, headers = await read_head(reader)
    return Answer(status, headers, b"".join([part async for part in read_body(reader, headers)]))


async def read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    """Read the body of an answer: chunk by chunk if it is chunked, otherwise in one part."""
    if headers.get("transfer-encoding") != "chunked":
        yield await reader.readexactly(int(headers["content-length"]))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)


async def read_message(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read an unmasked WebSocket frame. Returns its opcode and data."""
    first, second = await reader.readexactly(2)
    length = second
    if second == 126:
        length = int.from_bytes(await reader.readexactly(2), "big")
    elif second == 127:
        length = int.from_bytes(await reader.readexactly(8), "big")
    return first & 15, await reader.readexactly(length)


def close(writer: asyncio.StreamWriter, *, abruptly: bool = False) -> None:
    """Close a connection, or reset it."""
    if abruptly:
        with suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABRUPT)
    writer.close()


def compact(value: Any) -> bytes:
    """Return JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()
