"""A connection: it reads plain requests by itself, and has twisted.web read all others.

The package's docstring tells the whole story. This module has the order in which requests are read and
answered, and the bounds of the bytes that are kept meanwhile.
"""

from twisted.internet.interfaces import IAddress, IPushProducer
from zope.interface import implementer

from cometify.http.channel_transport import ChannelTransport
from cometify.http.connection_state import ConnectionState
from cometify.http.fast_parser import END_OF_HEAD, MOST_HEAD
from cometify.http.fast_request import FastRequest, PartialRequest, RepeatedRequest
from cometify.http.response_head import response_head
from cometify.runtime import sockets, tcp
from cometify.runtime.epoll_loop import WriteBatch
from cometify.runtime.tcp import LONG_READ, READ
from cometify.runtime.transport import Transport

MOST_EARLY = 16 * 1024
"""Bytes that are kept while a request is being answered. With more, the peer is not read from. As twisted.web has it."""
TWISTED_COST = 4
"""The cost of a request that twisted.web reads, in plain requests."""

TLS_HANDSHAKE = b"\x16\x03"
"""The first bytes of a ClientHello (RFC 8446, section 5.1). No request begins with them."""
_ADVICE = b"This port speaks HTTP without TLS: write http:// or ws:// in the URL, or use the port that has TLS.\n"
NO_TLS_HERE = (
    response_head(
        400,
        ((b"Content-Type", b"text/plain"), (b"Content-Length", b"%d" % len(_ADVICE)), (b"Connection", b"close")),
    )
    + _ADVICE
)
"""The answer to a peer that speaks TLS on a port without it. Without an answer, the peer would wait."""


@implementer(IPushProducer)
class FastChannel(ConnectionState):
    """The protocol of a connection until it is closed, or given to a listener.

    Reads and answers requests. Its state and its end are the base class's.
    """

    __slots__ = ()

    def makeConnection(self, transport: Transport) -> None:
        """Begin to read."""
        self.transport = transport
        if isinstance(transport, tcp.EagerServer):
            self._write_batch = self._shared.write_batch
        sockets.set_no_delay(transport)
        self._shared.idle.watch(self)
        transport.registerProducer(self, True)

    # Reading.

    def dataReceived(self, data: bytes) -> None:
        """Answer what can be answered, and keep the rest."""
        if self._waiting is not None or self._early:
            self._early += data
            self._read_or_pause()
            return
        if self._partial is not None:
            self._receive_rest(self._partial, data)
            return
        if self.again is not None and self._serve_again(self.again, data):
            return
        if self._twisted is None or not self._twisted.is_reading:  # `_note_activity`, without the call
            self.seen = self._shared.idle.now
        if not self._closing:
            self._serve(data, self._write_batch)

    def _receive_rest(self, partial: PartialRequest, data: bytes) -> None:
        """Add to the plain request that has begun, and read it once it may be whole."""
        whole = partial.add(data)
        if whole:
            self._partial = None
            if len(whole) > READ:
                sockets.set_read_size(self.transport)
            self._note_activity()
            self._serve(whole, self._write_batch)
        elif partial.missing:
            if partial.missing < LONG_READ:
                sockets.set_read_size(self.transport, partial.missing)
            self._shared.idle.extend(self, len(data))

    def _note_activity(self) -> None:
        """Note that the peer is active now, except within a request that twisted.web reads: see `_feed`."""
        if self._twisted is None or not self._twisted.is_reading:
            self.seen = self._shared.idle.now

    def _serve_again(self, again: RepeatedRequest, data: bytes) -> bool:
        """Answer `data` if it is the expected request. Parsing a poll costs two thirds of answering it."""
        numbers = again.read(data)
        if numbers is None:
            return False
        # `seen` is not set: the peer's time begins with the answer, because until then we let it wait.
        self._waiting = request = again.request
        request.data = data
        if again.serve(numbers):
            return True
        self._waiting = None
        return False

    def _serve(self, data: bytes, batch: WriteBatch | None = None) -> None:
        """Answer the requests in `data` one after the other, until one must wait or there were many.

        `batch`: given in a read of this connection alone. At any other time the connection may be read again
        before the batch is written, and the answer to that read could overtake the batch.
        """
        if self._full:
            self._early = data
            self._read_or_pause()
            return
        self._serving, self._batch = True, batch
        spent = self._begin(data) if self._twisted is None else self._serve_first(data)
        if self._early or spent > 1:
            self._serve_early(spent)
        self._serving, self._batch = False, None

    def _serve_first(self, data: bytes) -> int:
        """Begin with the request at the beginning of `data`, or go on with the one that twisted.web reads. Returns the cost."""
        if self._twisted is not None and self._twisted.is_reading:
            return self._feed(self._twisted, data)
        return self._begin(data)

    def _serve_early(self, spent: int) -> None:
        """Go on with the requests that came behind the first one, which cost `spent`."""
        share = self._shared.turn_share
        most = share.size
        while self._early and spent < most and self._waiting is None and not self._full:
            data, self._early = self._early, b""
            spent += self._serve_first(data)
        has_more = self._early and spent >= most and self._waiting is None and not self._full
        if has_more or spent > 1:
            share.spend(spent)
        if has_more and not self._continues:
            self._continues = True
            share.wait(self._continue)
        if self._early:
            self._read_or_pause()

    def _begin(self, data: bytes) -> int:
        """Begin with the request at the beginning of `data`. Returns its cost."""
        end = data.find(END_OF_HEAD, 0, MOST_HEAD) + 4
        if end < 4:
            if len(data) < MOST_HEAD and data.startswith((b"POST /", b"GET /")):
                self._partial = PartialRequest(data)
                self._shared.idle.expect_rest(self)
                return 1
            return self._leave(data)
        head = self._shared.parser.read(data[:end])
        if head is None:
            return self._leave(data)
        whole = end + head.length
        if len(data) < whole:
            self._partial = PartialRequest(data, whole - len(data))
            if whole > READ:
                sockets.set_read_size(self.transport, whole - len(data))
            self._shared.idle.expect_rest(self)
            if len(data) > end:
                self._shared.idle.extend(self, len(data) - end)
            return 1
        self._early = data[whole:]
        self._waiting = request = FastRequest(self, head, data[:whole])
        request.fixed = head.endpoint.headers(request)
        head.endpoint.render(request)
        return 1

    def _leave(self, data: bytes) -> int:
        """Have twisted.web read the request that begins here. Returns its cost so far."""
        self.expect(None)
        if data.startswith(TLS_HANDSHAKE) and not sockets.hop_of(self.transport).is_encrypted:
            self.transport.write(NO_TLS_HERE)
            self.close()
            return 1
        if self._twisted is None:
            self._twisted = ChannelTransport(self, self._shared.new_channel(), self._shared.tree)
        return self._feed(self._twisted, data)

    def _feed(self, twisted: ChannelTransport, data: bytes) -> int:
        """Give twisted.web the bytes of its request. Returns their cost."""
        size = twisted.size_of_part(data)
        has_begun, was_in_body = twisted.is_reading, twisted.is_in_body
        self._early = data[size:]
        twisted.dataReceived(data[:size])
        if not twisted.is_reading:
            self._end_body(size if twisted.keeps_body else 0)
            self._note_activity()
            return TWISTED_COST
        if was_in_body:
            self._shared.idle.extend(self, size)
            if twisted.drops_body:
                self._end_body()
            else:
                self._shared.long_bodies.grow(self, size, twisted.missing)
        elif twisted.is_in_body or not has_begun:
            self._shared.idle.expect_rest(self)
        return 1

    def _continue(self) -> None:
        self._continues = False
        self._go_on()

    def _go_on(self) -> None:
        """Read what was kept, if nothing stands in the way any longer."""
        if self._early and self._waiting is None and not (self._full or self._serving):
            self._note_activity()
            data, self._early = self._early, b""
            self._serve(data)
        self._read_or_pause()

    def _read_or_pause(self) -> None:
        """Read from the peer only while there is room, for its requests and for the answers.

        While requests wait for their turn nothing is read either, because a peer may have closed behind them. To read that
        would end the connection, and the requests with it.
        """
        if self._ended:
            self._end_if_answered()
            return
        reads = not (self._full or self._continues or self._holds_body) and len(self._early) <= MOST_EARLY
        if reads != self._reads:
            self._reads = reads
            if reads:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    # Answering.

    def answer(self, data: bytes, closes: bool) -> None:
        """Send a whole response to the plain request that is waiting, and go on with the next one."""
        self._waiting = None
        if self._batch is not None and not (closes or self._early):
            self._batch.put(self.transport, data)
            return
        self.transport.write(data)
        if closes:
            self.close()
        elif not self._serving:
            self._answered_late()

    def request_is_whole(self) -> None:
        """See `channel_transport.Owner`."""
        self._waiting = self._twisted

    def request_is_done(self) -> None:
        """See `channel_transport.Owner`."""
        self._waiting = None
        self._shared.long_bodies.end(self)
        if not (self._serving or self._closing):
            self._answered_late()

    def _answered_late(self) -> None:
        self.seen = self._shared.idle.now
        if self._early or self._ended:
            self._go_on()

    @property
    def has_docs(self) -> bool:
        """See `Exchange`."""
        return self._shared.tree.has_docs

    @property
    def ends(self) -> bool:
        """True if each answer must end the connection, because the server drains."""
        return self._shared.ends

    def peer(self) -> IAddress:
        """The other end of the connection."""
        if self._peer is None:
            self._peer = self.transport.getPeer()
        return self._peer

    # The transport's producer.

    def pauseProducing(self) -> None:
        """The transport holds as much as it may: answer and read nothing more."""
        self._full = True
        if self._twisted is not None:
            self._twisted.pause()
        self._read_or_pause()

    def resumeProducing(self) -> None:
        """The transport has room again."""
        self._full = False
        self._tell_read()
        if self._twisted is not None:
            self._twisted.resume()
        self._go_on()

    def stopProducing(self) -> None:
        """The connection is lost."""
        if self._twisted is not None:
            self._twisted.stop()
