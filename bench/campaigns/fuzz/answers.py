"""Reads what the server sends on one connection, and judges it: HTTP answers, then frames after a 101."""

import json
import re
import zlib
from collections.abc import Callable
from typing import Any

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) [\t\x20-\x7e\x80-\xff]*")
_ANY_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ")
_FIELD = re.compile(rb"[!#-'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
DOCUMENTED = frozenset({"engine_unavailable", "overloaded", "draining", "too_slow"})
"""Codes of a 503. Every other status from 500 on is a fault."""
UNEXPECTED_CLOSE = 1011
"""The close code of a WebSocket on which something failed (RFC 6455, section 7.4.1)."""
FRAME_TYPES = frozenset({"ready", "push", "heartbeat", "gap", "error", "reconnect"})


class Wrong(Exception):
    """The server has sent something that it must not send."""


class AnswerReader:
    """Reads the answers of one connection.

    `outcomes` holds a word for each of them, `answers` counts those that are whole (of an answer without an end, its head).
    `loose`: only the statuses are looked for, because a HEAD may be among the requests and its answer has no body.
    """

    def __init__(self, *, loose: bool = False) -> None:
        self.outcomes: list[str] = []
        self.answers = 0
        self._data = bytearray()
        self._body = b""
        self._status = 0
        self._left = 0
        self._next: Callable[[], bool] = self._skim if loose else self._head

    def feed(self, data: bytes) -> None:
        """Take bytes. Raises Wrong."""
        self._data += data
        while self._next():
            pass

    def _skim(self) -> bool:
        found = list(_ANY_STATUS.finditer(self._data))
        for match in found:
            self._judge(int(match[1]), None)
        if found:
            del self._data[: found[-1].end()]
        return False

    def _take(self, size: int) -> bytes:
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken

    def _head(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return False
        line, *fields = self._take(end + 4)[:-4].split(b"\r\n")
        match = _STATUS.fullmatch(line)
        if match is None or not all(map(_FIELD.fullmatch, fields)):
            raise Wrong(f"this is not the head of an answer: {line!r} {fields!r}")
        headers = {name.lower(): value.strip() for name, _, value in (part.partition(b":") for part in fields)}
        self._begin(int(match[1]), headers)
        return True

    def _begin(self, status: int, headers: dict[bytes, bytes]) -> None:
        self._status, self._body = status, b""
        if status == 101:
            self._judge(status, None)
            self._next = self._frame
        elif status in {204, 304}:
            self._judge(status, None)
        elif status < 200:
            self.outcomes.append(str(status))
        elif headers.get(b"transfer-encoding") == b"chunked":
            self._next = self._chunk
            if status == 200:
                self.answers += 1
                self.outcomes.append("200 begun")
        elif b"content-length" in headers:
            self._left = int(headers[b"content-length"])
            self._next = self._whole
        else:
            self._judge(status, None)
            self._next = self._rest

    def _whole(self) -> bool:
        if len(self._data) < self._left:
            return False
        self._judge(self._status, self._take(self._left))
        self._next = self._head
        return True

    def _rest(self) -> bool:
        """Pass over a body that ends with the connection."""
        self._data.clear()
        return False

    def _chunk(self) -> bool:
        end = self._data.find(b"\r\n")
        if end < 0:
            return False
        try:
            size = int(self._data[:end], 16)
        except ValueError:
            raise Wrong(f"this is not the size of a chunk: {bytes(self._data[:60])!r}") from None
        if len(self._data) < end + 2 + size + 2:
            return False
        self._body += self._take(end + 2 + size + 2)[end + 2 : -2]
        if size == 0:
            self.answers -= self._status == 200
            self._judge(self._status, self._body)
            self._next = self._head
        return True

    def _judge(self, status: int, body: bytes | None) -> None:
        code = _problem(body) if status >= 400 and body else ""
        if status >= 500 and not (status == 503 and code in DOCUMENTED):
            raise Wrong(f"status {status} {code}")
        self.answers += 1
        self.outcomes.append(f"{status} {code}".strip())

    def _frame(self) -> bool:
        if len(self._data) < 2:
            return False
        first, second = self._data[:2]
        opcode, size, begins = first & 0x0F, second, 2
        if opcode not in {1, 8, 9, 10} or not first & 0x80 or first & 0x30 or second & 0x80:
            raise Wrong(f"this is not a frame of a server: {bytes(self._data[:20])!r}")
        if second >= 126:
            begins = 4 if second == 126 else 10
            size = int.from_bytes(self._data[2:begins], "big") if len(self._data) >= begins else 1 << 62
        if len(self._data) < begins + size:
            return False
        self._judge_frame(opcode, self._take(begins + size)[begins:], compressed=bool(first & 0x40))
        return True

    def _judge_frame(self, opcode: int, data: bytes, *, compressed: bool) -> None:
        if opcode == 8:
            code = int.from_bytes(data[:2], "big")
            if code == UNEXPECTED_CLOSE:
                raise Wrong(f"close code {code}")
            self.outcomes.append(f"close {code or 'without a code'}")
        elif opcode == 1:
            self._judge_text(zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff") if compressed else data)

    def _judge_text(self, data: bytes) -> None:
        try:
            value: Any = json.loads(data.decode())
        except ValueError:
            raise Wrong(f"a text frame is not JSON: {data[:200]!r}") from None
        kind = value.get("type")
        if kind not in FRAME_TYPES:
            raise Wrong(f"a frame of an unknown type: {data[:200]!r}")
        self.outcomes.append(f"frame {kind} {value.get('code', '')}".strip())


def _problem(body: bytes) -> str:
    """Return the code of a problem document, or an empty string."""
    try:
        value: Any = json.loads(body)
        return str(value["code"])
    except (ValueError, KeyError, TypeError):
        return ""
