"""A listener that has a connection of its own: a WebSocket, a stream, an event stream.

It takes the connection over from twisted.web, and is both the transport's protocol and its streaming producer.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from cometify.core.errors import Refused
from cometify.core.frames import error_frame, reconnect_frame
from cometify.core.listener import Listener
from cometify.core.listener_state import Event, State
from cometify.runtime import sockets, tcp, tls_writer
from cometify.transports.context import Context

LINGER = 10
"""Seconds for what was written last to be read, before the connection is cut."""


@implementer(IPushProducer)
class Connection(Listener):
    """`eager` is the transport when bytes may go straight to its socket, else None."""

    __slots__ = ("context", "eager", "transport")

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.transport: Any = None
        self.eager: tcp.EagerServer | None = None

    # The transport's protocol.

    def makeConnection(self, transport: Any) -> None:
        """The connection is ours."""
        self.transport = transport
        self.eager = sockets.eager(transport)
        sockets.set_up_listener(transport)
        transport.registerProducer(self, True)
        if self.eager is not None and self.eager.unsent:
            self.hold(b"")  # the answers to requests before this one go first

    def dataReceived(self, data: bytes) -> None:
        """Whatever the peer sends on a stream means nothing."""

    def connectionLost(self, _reason: Failure) -> None:
        """The peer is gone."""
        self.transport = self.eager = None
        self.context.closing.discard(self)
        self.context.membership.part(self)

    # The transport's producer: it says when there is room.

    def pauseProducing(self) -> None:
        """The transport holds as much as it may."""
        self._stall()

    def resumeProducing(self) -> None:
        """The transport holds nothing any more."""
        if self.state is State.STALLED:
            sockets.set_user_timeout(self.transport, tcp.ACKNOWLEDGED_WITHIN)
            self.transition(Event.WRITABLE)
            if self.view is not None:  # else it catches up once it has joined
                self.context.fan_out.catch_up(self)

    def stopProducing(self) -> None:
        """The connection is lost, which connectionLost tells as well."""

    # What the sweep and the pulse ask of a listener.

    def offer(self, data: bytes) -> int:
        if self.eager is None:
            # TLS and Unix sockets take everything, and say by pauseProducing when it is enough.
            self.transport.write(data)
            return len(data)
        try:
            return self.eager.socket.send(data)
        except OSError:  # EAGAIN; a real error is met again by the reactor, which ends the connection
            return 0

    def hold(self, rest: bytes) -> None:
        self._stall()
        if self.eager is not None:
            self.eager.call_when_writable(rest, self)

    def wake(self) -> None:
        self.send = self.straight()

    def straight(self) -> Callable[[bytes], int]:
        """What writes with the least in between. It may raise OSError, as `send` may."""
        if self.eager is not None:
            return self.eager.socket.send
        return tls_writer.writer_for(self.transport) or partial(Connection.offer, self)

    def beat(self, heartbeat: bytes) -> None:
        self.put(heartbeat)

    def unread(self) -> int:
        return sockets.unread(self.transport)

    def put(self, data: bytes) -> None:
        """Write something that is not owed from a ring; behind what the transport holds already."""
        self.transport.write(data)
        if self.eager is not None and self.eager.unsent and self.state is not State.STALLED:
            self.hold(b"")

    def _stall(self) -> None:
        if self.state is not State.GONE:  # it may be STALLED already: the sweep sets that, and knows neither of these
            self.transition(Event.BLOCKED)
            self.context.heartbeats.watch(self)
            sockets.set_user_timeout(self.transport, tcp.STALLED_WITHIN)

    # The end.

    def end(self, refused: Refused) -> None:
        if self.transport is not None and self.state is not State.GONE:  # else its request is refused, or nobody told
            self.context.membership.count_end(self, refused.code)
        self.close(self.encoding.encode(error_frame(refused), None), refused.code.close)

    def drain(self, after: int) -> None:
        self.close(self.encoding.encode(reconnect_frame(after), None), 4200)

    def close(self, last: bytes, code: int) -> None:
        """Write the last frame and what ends the transport's protocol, and let it be read."""
        if self.state is State.GONE:
            return
        if self.transport is None:
            self.context.membership.part(self)
            return
        unsaid = b"" if self.backlog is None else self.backlog.preamble
        self.context.membership.part(self)
        self.context.closing.add(self)
        self.transport.unregisterProducer()
        self.transport.write(unsaid + last + self.farewell(code))
        self.hang_up()
        self.context.later(LINGER, self._cut)

    def farewell(self, code: int) -> bytes:
        """What ends the transport's protocol after the last frame."""
        raise NotImplementedError

    def hang_up(self) -> None:
        """Close once everything is written."""
        self.transport.loseConnection()

    def _cut(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()
