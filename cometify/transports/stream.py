"""GET or POST /{apiKey}/stream: one answer that stays open, a frame a line."""

from cometify.core.frames import STREAM, STREAM_UNCHUNKED, Form
from cometify.core.listener import State
from cometify.transports.connection import Connection
from cometify.transports.listening import OpenEndpoint
from cometify.transports.node import Node

LONGEST = 600
"""Seconds after which an answer ends, for the listener to ask again: proxies and browsers like none that never ends."""
LARGEST = 2**20
"""Bytes after which an answer ends: a browser may keep all of it."""


class StreamListener(Connection):
    """An answer that stays open for a while. `left`: bytes that it may still have."""

    __slots__ = ("form", "left", "until")

    def __init__(self, node: Node, form: Form) -> None:
        super().__init__(node)
        self.form = form
        self.left = LARGEST
        self.until = node.seconds() + LONGEST

    def offer(self, data: bytes) -> int:
        sent = super().offer(data)
        self.left -= sent
        if self.left <= 0 and sent == len(data) and self.state is not State.GONE:
            # At the end of a span, so of a frame. What is owed next is asked for again.
            self.node.later(0, self._end_in_order)
        return sent

    def wake(self) -> None:
        self.send = self.offer

    def beat(self, heartbeat: bytes) -> None:
        super().beat(heartbeat)
        if self.node.seconds() >= self.until:
            self._end_in_order()

    def _end_in_order(self) -> None:
        if self.state is not State.GONE:
            self.close(b"", 0)

    def farewell(self, code: int) -> bytes:
        return b"0\r\n\r\n" if self.form.chunked else b""


class StreamEndpoint(OpenEndpoint):
    """Lines of JSON."""

    content_type = b"application/x-ndjson"

    def listener(self, chunked: bool) -> StreamListener:
        return StreamListener(self.node, STREAM if chunked else STREAM_UNCHUNKED)
