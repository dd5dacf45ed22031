"""GET or POST /{apiKey}/stream: one response that stays open, with a frame on each line.

The server ends a response after ten minutes or 1 MiB, and the listener asks again with its last position. Some proxies
cut responses that never end, and some browsers keep the whole of a response in memory.
"""

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from cometify.core.encodings import STREAM, STREAM_UNCHUNKED, Encoding
from cometify.core.listener import Listener
from cometify.core.listener_state import State
from cometify.http.exchange import Exchange
from cometify.runtime.transport import Transport
from cometify.transports.connection import Connection
from cometify.transports.context import Context
from cometify.transports.http_listener import OpenEndpoint

LONGEST = 600
"""Seconds after which a response ends."""
LARGEST = 2**20
"""Bytes after which a response ends, with the frame that reaches them."""


class StreamListener(Connection):
    """A response that stays open for a while. `left`: the bytes that it may still have.

    Its `send` is `offer`, where a WebSocket's is the socket's: each write must be counted. Counting here costs 80 ns of a
    stream's write, and nothing of a WebSocket's.
    """

    __slots__ = ("_longest", "encoding", "left")

    def __init__(self, context: Context, encoding: Encoding) -> None:
        super().__init__(context)
        self.encoding = encoding
        self.left = LARGEST
        self._longest: IDelayedCall | None = None

    def makeConnection(self, transport: Transport) -> None:
        super().makeConnection(transport)
        self._longest = self.context.later(LONGEST, self._end_in_order)

    def connectionLost(self, reason: Failure) -> None:
        if self._longest is not None and self._longest.active():
            self._longest.cancel()
        # A call that has come refers to its listener still, and the two would be a reference cycle.
        self._longest = None
        super().connectionLost(reason)

    def offer(self, data: bytes) -> int:
        sent = Connection.offer(self, data)
        self.left -= sent
        if self.left <= 0:
            self._end_soon()
        return sent

    def lost_right(self) -> None:
        # A page cannot send a new token on this response. So the response ends in order behind the `ready`, and the page
        # comes back with the token that it has by then. An EventSource would come back with the old one, so it goes on.
        if self.encoding is STREAM or self.encoding is STREAM_UNCHUNKED:
            self._end_soon()

    def wake(self) -> None:
        Listener.wake(self)

    def hold(self, rest: bytes) -> None:
        self.left -= len(rest)
        if self.left <= 0:
            self._end_soon()
        super().hold(rest)

    def _end_soon(self) -> None:
        # Not at once, because the fan-out must first give the rest of a begun frame to `hold`. The pushes that do not
        # fit any longer are asked for by the next request, with the last position.
        if self.state is not State.GONE:
            self.context.later(0, self._end_in_order)

    def _end_in_order(self) -> None:
        if self.state is not State.GONE:
            self.close(b"", 0)

    def farewell(self, code: int) -> bytes:
        return b"0\r\n\r\n" if self.encoding.chunked else b""


class StreamEndpoint(OpenEndpoint):
    """Lines of JSON."""

    content_type = b"application/x-ndjson"

    def listener(self, request: Exchange) -> StreamListener:
        return StreamListener(self.context, STREAM if request.is_http_1_1 else STREAM_UNCHUNKED)
