"""The quick way through HTTP: a whole, plain request of the kinds that come in masses is read and answered here.

twisted.web takes ten times as long for a push as the push itself. So a request that is exactly of one form goes
to its endpoint at once, and everything else goes to twisted.web, byte for byte as it came: there is one truth about
HTTP, twisted.web's, and one about Cometify, the endpoints that both ways share. `fast_parser` says what is plain.
"""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, parse_qs

from cometify.http.exchange import Headers, ServeAgain, decoded_query
from cometify.http.fast_parser import MOST_HEAD, Head, RepeatedRequest
from cometify.http.fast_response import written
from cometify.runtime import sockets, tcp
from cometify.runtime.epoll_loop import WriteBatch

MOST_EARLY = 16 * 1024
"""Bytes that are read ahead while a request is being answered, as twisted.web has it."""


class FastRequest:
    """See `Exchange`."""

    __slots__ = ("_channel", "_head", "_when_gone", "data", "fixed", "gone", "header", "method", "segments")

    def __init__(self, channel: "FastChannel", head: Head, data: bytes) -> None:
        self._channel = channel
        self._head = head
        self.data = data
        self._when_gone: Callable[[], None] | None = None
        self.method = head.method
        self.segments = head.segments
        self.header: Callable[[str], str | None] = head.fields.values.get
        self.fixed: Headers = ()
        self.gone = False

    @property
    def peer(self) -> IAddress:
        return self._channel.peer()

    @property
    def is_http_1_1(self) -> bool:
        return True

    def headers(self, name: str) -> Sequence[str]:
        value = self.header(name)
        return () if value is None else (value,)

    @property
    def sent_path(self) -> bytes:
        return b"/" + "/".join(self.segments).encode()  # `_LINE` knows no other spelling

    def body(self) -> bytes:
        return self.data[self._head.size :]

    def asked(self) -> tuple[bytes, bytes]:
        return self.data[self._head.query], self.body()

    def query(self) -> dict[str, list[str]]:
        query = self.data[self._head.query].decode()  # `fast_parser` lets only ASCII through
        if "%" in query or "+" in query or ";" in query:
            return decoded_query(parse_qs(query.encode(), 1))
        parameters: dict[str, list[str]] = {}  # the same in half the time
        for item in query.split("&"):
            name, equals, value = item.partition("=")
            if equals:
                parameters.setdefault(name, []).append(value)
        return parameters

    def answer(self, status: int, content_type: bytes, body: bytes, headers: Headers = ()) -> None:
        if not self.gone:
            closes = self._head.fields.closes
            self._channel.answer(written(status, content_type, body, self.fixed + headers, closes), closes)

    def expect_again(self, parts: Sequence[bytes], serve: ServeAgain) -> bool:
        data, head = self.data, self._head
        at = head.size if head.length else head.query.start
        before, numbers = data[:at], []
        for around, digits in zip(parts[::2], parts[1::2], strict=False):
            before += around
            start = at + len(around)
            at = start + len(digits)
            numbers.append((before, start, at))
            before = b""
        if not numbers or head.fields.closes:
            return False
        self._channel.expect(RepeatedRequest(len(data), numbers, data[at:], self, serve))
        return True

    def when_gone(self, call: Callable[[], None]) -> None:
        self._when_gone = call

    def lost(self) -> None:
        """The peer is gone."""
        self.gone = True
        if self._when_gone is not None:
            self._when_gone()
        self.forget()

    def forget(self) -> None:
        """It will not come again: nobody need be told of anything."""
        self._when_gone = None

    def release(self) -> tuple[Any, bytes]:
        return self._channel.release()


class FastChannel(HTTPChannel):
    """Twisted's own, made without the wrapper that tells HTTP/2 apart, with the quick way before it.

    `_waiting` is the quick request that is being answered. What comes meanwhile is kept in `_early`; `_parts` are the
    beginning of a request that is not whole yet, and `_missing` the bytes that it still needs, if that is known.
    """

    site: Any
    transport: Any
    # Nobody hears it: twisted.web writes down the address of each peer that was idle for too long.
    _log = Logger(observer=LogPublisher())
    _waiting: FastRequest | None = None
    _early = b""
    _parts: list[bytes] | None = None
    _missing = 0
    _serving = False
    _passed_to: Any = None
    _peer: IAddress | None = None
    _write_batch: WriteBatch | None = None
    seen = 0.0
    due = 0
    again: RepeatedRequest | None = None

    def connectionMade(self) -> None:
        """As HTTPChannel has it, which must ask what an eager transport provides."""
        if not isinstance(self.transport, tcp.EagerServer):
            super().connectionMade()
            return
        self._write_batch = self.site.write_batch
        self.transport.setTcpNoDelay(True)
        self.setTimeout(self.timeOut)
        self._networkProducer = self.transport
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        if self._waiting is not None:
            self._early += data
            if len(self._early) > MOST_EARLY and not self._waitingForTransport:
                self._networkProducer.pauseProducing()
            return
        if self.again is not None and self._parts is None and self._serve_again(self.again, data):
            return
        if self._parts is not None:
            data = self._gathered(self._parts, data)
            if not data:
                return
        elif self.requests or self._buffer or not self.line_mode or not self.persistent:
            super().dataReceived(data)  # twisted.web is in the middle of a request, or at the end of the connection
            return
        else:
            self.seen = self.site.idle.now
        self._serve(data)

    def _gathered(self, parts: list[bytes], data: bytes) -> bytes:
        """All that has come of a request, once it may be whole."""
        self.resetTimeout()
        self._missing -= len(data)
        parts.append(data)
        if self._missing > 0:
            return b""
        self._parts = None
        return b"".join(parts)

    def _serve_again(self, again: RepeatedRequest, data: bytes) -> bool:
        """Whether this is the request that is expected, and was dealt with: a third of what a poll costs otherwise."""
        numbers = again.read(data)
        if numbers is None:
            return False
        # The peer's time begins with the answer; while one is waited for, it has all there is.
        self._waiting = request = again.request
        request.data = data
        if again.serve(numbers):
            return True
        self._waiting = None
        return False

    def _serve(self, data: bytes) -> None:
        """Answer the requests in `data`, one after the other."""
        self._serving = True
        self._early = data
        while self._early and self._waiting is None:
            data, self._early = self._early, b""
            if not self._begin(data):
                break
        self._serving = False

    def _begin(self, data: bytes) -> bool:
        """Begin with the request at the beginning of `data`. False if it is not whole, or twisted.web's."""
        end = data.find(b"\r\n\r\n", 0, MOST_HEAD) + 4
        if end < 4:
            if len(data) < MOST_HEAD and data.startswith((b"POST /", b"GET /")):
                self._parts, self._missing = [data], 0
                return False
            return self._leave(data)
        head = self.site.fast_parser.read(data[:end])
        if head is None:
            return self._leave(data)
        whole = end + head.length
        if len(data) < whole:
            self._parts, self._missing = [data], whole - len(data)
            return False
        self._early = data[whole:]
        self._waiting = request = FastRequest(self, head, data[:whole])
        request.fixed = head.endpoint.headers(request)
        head.endpoint.render(request)
        return True

    def _leave(self, data: bytes) -> bool:
        """Leave what has come to twisted.web."""
        self.expect(None)
        super().dataReceived(data)
        return False

    def answer(self, data: bytes, closes: bool) -> None:
        """The answer to the request that is waiting, and on with the next."""
        self._waiting = None
        if self._serving and self._write_batch is not None and not (closes or self._early):
            self._write_batch.put(self.transport, data)
            return
        self.transport.write(data)
        if closes:
            self.persistent = 0
            self.expect(None)
            self._early = b""
            self.loseConnection()
        elif not self._serving:
            self.resetTimeout()
            if self._early:
                if not self._waitingForTransport:
                    self._networkProducer.resumeProducing()
                # Not a read of this connection: there may be one yet in this turn, whose answers go past the outbox.
                write_batch, self._write_batch = self._write_batch, None
                self._serve(self._early)
                self._write_batch = write_batch

    def expect(self, again: RepeatedRequest | None) -> None:
        """What is to come again; None: nothing."""
        before, self.again = self.again, again
        if before is not None and (again is None or again.request is not before.request):
            before.request.forget()

    def peer(self) -> IAddress:
        """The other end of the connection."""
        if self._peer is None:
            self._peer = self.transport.getPeer()
        return self._peer

    def setTimeout(self, period: int | None) -> int | None:
        """As TimeoutMixin has it, but for the precision. There is one period, the site's."""
        before, self.timeOut = self.timeOut, period
        if period is None:
            self.site.idle.forget(self)
        else:
            self.site.idle.watch(self)
        return before

    def resetTimeout(self) -> None:
        """Something has happened on the connection."""
        self.seen = self.site.idle.now

    def timeoutConnection(self) -> None:
        if self._waiting is not None:
            self.site.idle.watch(self)  # it is we who let the peer wait
            return
        self.persistent = 0  # what comes while it is being closed is too late
        self.expect(None)
        super().timeoutConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        super().connectionLost(reason)
        request, self._waiting = self._waiting, None
        if request is not None:
            request.lost()
        # No cycles are left behind, or what was long alive is not freed for an hour (see `collector`).
        self.expect(None)
        self._transferDecoder = None
        if sockets.lowest(self.transport) is not self.transport:
            self.transport.unregisterProducer()  # TLS keeps it otherwise

    # The connection goes to another protocol.

    def release(self) -> tuple[Any, bytes]:
        """Let go of the connection, with what has come behind the request that is waiting."""
        transport = self.transport
        early, self._early = self._early, b""
        self._waiting = None
        self.let_go()
        if self._waitingForTransport or len(early) > MOST_EARLY:
            transport.resumeProducing()  # else it is reading, and to ask costs a hundredth of a joining
        return transport, early

    def let_go(self) -> None:
        """The transport is somebody else's."""
        self._passed_to = self.transport
        self.setTimeout(None)
        self.transport.unregisterProducer()
        self.transport = None

    def pass_on(self, data: bytes) -> None:
        """What this channel was still given goes to whoever has the connection now."""
        sockets.protocol_of(self._passed_to).dataReceived(data)
