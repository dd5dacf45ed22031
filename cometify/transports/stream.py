"""GET or POST /{apiKey}/stream: one answer that stays open, a frame a line."""

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.python.failure import Failure

from cometify.core.encodings import STREAM, STREAM_UNCHUNKED, Encoding
from cometify.core.listener_state import State
from cometify.transports.connection import Connection
from cometify.transports.context import Context
from cometify.transports.http_listener import OpenEndpoint

LONGEST = 600
"""Seconds after which an answer ends, for the listener to ask again: proxies and browsers like none that never ends."""
LARGEST = 2**20
"""Bytes after which an answer ends: a browser may keep all of it."""


class StreamListener(Connection):
    """An answer that stays open for a while. `left`: bytes that it may still have."""

    __slots__ = ("_longest", "encoding", "left")

    def __init__(self, context: Context, encoding: Encoding) -> None:
        super().__init__(context)
        self.encoding = encoding
        self.left = LARGEST
        self._longest: Any = None

    def makeConnection(self, transport: Any) -> None:
        super().makeConnection(transport)
        self._longest = self.context.later(LONGEST, self._end_in_order)

    def connectionLost(self, reason: Failure) -> None:
        if self._longest.active():
            self._longest.cancel()
        super().connectionLost(reason)

    def offer(self, data: bytes) -> int:
        sent = super().offer(data)
        self._count(sent)
        return sent

    def hold(self, rest: bytes) -> None:
        self._count(len(rest))
        super().hold(rest)

    def _count(self, size: int) -> None:
        self.left -= size
        if self.left <= 0 and self.state is not State.GONE:
            # Not at once: the rest of a frame that was begun must be held first. What is owed next is asked for again.
            self.context.later(0, self._end_in_order)

    def wake(self) -> None:
        self.send = partial(self._write_by, self.straight()) if self.eager is None else self._write

    def _write(self, data: bytes) -> int:
        """As `offer`, in as little time as counting can take, and without remembering what sends: that is 80 bytes."""
        sent: int = self.eager.socket.send(data)  # type: ignore[union-attr]
        self.left -= sent
        if self.left <= 0:
            self._count(0)
        return sent

    def _write_by(self, straight: Callable[[bytes], int], data: bytes) -> int:
        sent = straight(data)
        self._count(sent)
        return sent

    def _end_in_order(self) -> None:
        if self.state is not State.GONE:
            self.close(b"", 0)

    def farewell(self, code: int) -> bytes:
        return b"0\r\n\r\n" if self.encoding.chunked else b""


class StreamEndpoint(OpenEndpoint):
    """Lines of JSON."""

    content_type = b"application/x-ndjson"

    def listener(self, chunked: bool) -> StreamListener:
        return StreamListener(self.context, STREAM if chunked else STREAM_UNCHUNKED)
