"""A listener that has a connection of its own: a WebSocket, a stream, or an event stream.

It takes the connection over from the HTTP server. It is then the protocol of the transport: the transport tells it of bytes
and of the end. It is also the streaming producer of the transport: it is told when the transport is full, and when it has
space again.

Bytes go to the peer in one of two ways:

- On TCP, `offer` sends to the socket itself. The socket may take a part. The fan-out then gives the rest of the frame
  that was begun to `hold`, and everything else stays in the ring. So the transport keeps one frame at most.
- On TLS and on Unix sockets the transport takes everything, and calls `pauseProducing` when it keeps too much.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from cometify.core.errors import Refused
from cometify.core.frames import error_frame, reconnect_frame
from cometify.core.listener import Listener
from cometify.core.listener_state import Event, State
from cometify.runtime import sockets, tcp, tls_writer
from cometify.runtime.transport import Transport
from cometify.transports.context import Context

LINGER = 10
"""Seconds in which the peer can read the last frame before the connection is cut."""


@implementer(IPushProducer)
class Connection(Listener):
    """`transport`: None before the connection is taken over, and after it is lost.

    `eager`: the same transport if bytes may go straight to its socket, else None. `tls`: writes to the peer through TLS
    with the least in between, as `send` does. None without TLS.
    """

    __slots__ = ("context", "eager", "tls", "transport")

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.transport: Transport | None = None
        self.eager: tcp.EagerServer | None = None
        self.tls: Callable[[bytes], int] | None = None

    # The transport's protocol.

    def makeConnection(self, transport: Transport) -> None:
        """Take the connection over."""
        self.transport = transport
        self.eager = sockets.eager(transport)
        self.tls = tls_writer.writer_for(transport) if self.eager is None else None
        sockets.set_up_listener(transport)
        transport.registerProducer(self, True)
        if self.eager is not None and self.eager.unsent:
            self.hold(b"")  # the answers to earlier requests go first

    def dataReceived(self, data: bytes) -> None:
        """Ignore bytes of the peer. They mean nothing on a stream."""

    def connectionLost(self, _reason: Failure) -> None:
        """Leave, because the connection is closed."""
        self.transport = self.eager = self.tls = None
        self.context.closing.discard(self)
        self.context.membership.part(self)

    # The transport's producer.

    def pauseProducing(self) -> None:
        """Stop writing, because the transport keeps as much as it may."""
        self._stall()

    def resumeProducing(self) -> None:
        """Go on, because the transport keeps nothing any longer."""
        if self.state is State.STALLED:
            assert self.transport is not None
            sockets.set_user_timeout(self.transport, tcp.ACKNOWLEDGED_WITHIN)
            self.transition(Event.WRITABLE)
            if self.view is not None:  # otherwise the fan-out hears of it when it joins
                self.context.fan_out.catch_up(self)

    def stopProducing(self) -> None:
        """Do nothing: `connectionLost` says the same."""

    # The listener.

    @property
    def api_key(self) -> str:
        """The API key that it came with, or an empty string if it has joined already."""
        return ""

    def offer(self, data: bytes) -> int:
        eager = self.eager
        if eager is not None:
            try:
                # Called where it is looked up, because Python then makes no bound method. To remember one takes 72 bytes
                # for each stream.
                return eager.socket.send(data)
            except OSError:  # EAGAIN, or a real error, which the reactor meets again. It ends the connection then.
                return 0
        if self.tls is not None:
            return self.tls(data)
        assert self.transport is not None
        self.transport.write(data)
        return len(data)

    def wake(self) -> None:
        self.send = (self.tls or self.offer) if self.eager is None else self.eager.socket.send

    def hold(self, rest: bytes) -> None:
        self._stall()
        if self.eager is not None:
            self.eager.call_when_writable(rest, self)

    def beat(self, heartbeat: bytes) -> None:
        self.put(heartbeat)

    def unread(self) -> int:
        assert self.transport is not None
        return sockets.unread(self.transport)

    def put(self, data: bytes) -> None:
        """Write bytes that come from no ring. They go behind the preamble, and behind all that the transport keeps already."""
        assert self.transport is not None
        self.transport.write(data if self.backlog is None else self._take_preamble() + data)
        if self.eager is not None and self.eager.unsent and self.state is not State.STALLED:
            self.hold(b"")

    def _take_preamble(self) -> bytes:
        """Return the bytes that must come before all others and were not written yet. The caller writes them."""
        backlog = self.backlog
        if backlog is None:
            return b""
        preamble, backlog.preamble = backlog.preamble, b""
        return preamble

    def _stall(self) -> None:
        # The fan-out can have set STALLED already, but it knows neither the wheel nor the socket's options.
        if self.state is not State.GONE:
            assert self.transport is not None
            self.transition(Event.BLOCKED)
            self.context.heartbeats.watch(self)
            sockets.set_user_timeout(self.transport, tcp.STALLED_WITHIN)

    # The end.

    def end(self, refused: Refused) -> None:
        # Before the connection is taken over its HTTP request is refused, and counted there.
        if self.transport is not None and self.state is not State.GONE:
            self.context.membership.count_end(self, refused, self.api_key)
        self.close(self.encoding.encode(error_frame(refused), None), refused.code.close)

    def drain(self, after: int) -> None:
        self.close(self.encoding.encode(reconnect_frame(after), None), 4200)

    def close(self, last: bytes, code: int) -> None:
        """Write the last frame and the end of the transport's protocol, and leave the peer some time to read them.

        `last`: an encoded frame, or nothing. `code`: the close code of a WebSocket.
        """
        if self.state is State.GONE:
            return
        if self.transport is None:
            self.context.membership.part(self)
            return
        preamble = self._take_preamble()
        self.context.membership.part(self)
        self.context.closing.add(self)
        self.transport.unregisterProducer()
        self.transport.write(preamble + last + self.farewell(code))
        self.hang_up()
        self.context.later(LINGER, self._cut)

    def farewell(self, code: int) -> bytes:
        """Return the bytes that end the transport's protocol after the last frame."""
        raise NotImplementedError

    def hang_up(self) -> None:
        """Close the connection once everything is written."""
        assert self.transport is not None
        self.transport.loseConnection()

    def _cut(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()
