"""The state of a connection of a site, and its end.

`fast_channel` has the rest: it reads and answers requests.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IAddress, IDelayedCall, IHalfCloseableProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from cometify.core.client_network import address_of
from cometify.http.channel_transport import ChannelTransport
from cometify.http.client_address import host_of
from cometify.http.fast_request import FastRequest, PartialRequest, RepeatedRequest
from cometify.http.shared import Shared
from cometify.runtime import sockets
from cometify.runtime.epoll_loop import WriteBatch
from cometify.runtime.transport import Transport

ABORT_AFTER = 15
"""Seconds within which the peer of an idle connection must read the last bytes. Then the connection is cut."""

UNUSED = 1
"""Seconds without a request after which a connection may be closed early. Its peer is not about to send one."""


@implementer(IHalfCloseableProtocol)
class ConnectionState:
    """Everything that is known of a connection.

    `again`: the request that may be sent again, which is then not parsed. `seen`, `due`: see `idle_timeout.TimesOut`.
    """

    __slots__ = (
        "_abort", "_batch", "_closing", "_continues", "_early", "_ended", "_full", "_holds_body", "_partial", "_peer", "_reads",
        "_serving", "_shared", "_twisted", "_waiting", "_when_read", "_write_batch", "again", "due", "seen", "transport",
    )  # fmt: skip
    transport: Transport

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._peer: IAddress | None = None
        # Made for the first request that is not plain.
        self._twisted: ChannelTransport | None = None
        # Anything but None while a request is being answered, by whichever way it was read.
        self._waiting: FastRequest | ChannelTransport | None = None
        # Bytes that were received and not read yet: while a request is being answered, while the peer does not read, and
        # between two steps of many requests.
        self._early = b""
        self._partial: PartialRequest | None = None
        self.again: RepeatedRequest | None = None
        self._serving = False  # `_serve` is running
        self._continues = False  # `_serve` goes on in one of the next turns
        self._full = False  # the transport holds as much as it may
        self._holds_body = False  # the rest of a long body waits for room: see `long_bodies`
        self._reads = True  # the transport reads from the peer
        self._ended = False  # the peer sends nothing more, and waits for answers
        self._closing = False
        self._when_read: Callable[[], None] | None = None
        self._abort: IDelayedCall | None = None
        self._write_batch: WriteBatch | None = None
        self._batch: WriteBatch | None = None  # the same, while answers may be left there
        self.seen = 0.0
        self.due = 0

    def expect(self, again: RepeatedRequest | None) -> None:
        """Set the request that may be sent again. None: there is none."""
        before, self.again = self.again, again
        if before is not None and (again is None or again.request is not before.request):
            before.request.forget()

    def when_read(self, call: Callable[[], None]) -> None:
        """See `Exchange`."""
        if self._full or (self._closing and sockets.unsent(self.transport)):
            self._when_read = call
        else:
            call()

    def _tell_read(self) -> None:
        call, self._when_read = self._when_read, None
        if call is not None:
            call()

    def timeoutConnection(self) -> None:
        """Close the connection: it has been idle for too long."""
        if self._waiting is not None or self._holds_body:
            self._shared.idle.watch(self)  # the peer is not idle, we let it wait
            return
        if self._partial is not None or (self._twisted is not None and self._twisted.is_reading):
            self._shared.idle.slow += 1
        self._abort = self._shared.call_later(ABORT_AFTER, self.transport.abortConnection)
        self.close()

    def close_if_idle(self) -> None:
        """Close the connection if nothing has happened on it for `UNUSED` seconds, and no request has begun."""
        is_reading = self._partial is not None or (self._twisted is not None and self._twisted.is_reading)
        if self._waiting is None and not (self._early or is_reading or self.is_recent):
            self.close()

    @property
    def is_recent(self) -> bool:
        """True if the connection was accepted a moment ago, or something has happened on it."""
        return self._shared.idle.now - self.seen < UNUSED

    @property
    def is_open(self) -> bool:
        """True until the connection is closed or given away."""
        return not self._closing

    @property
    def idle_rank(self) -> tuple[bool, float]:
        """The connection that is idle the longest has the lowest rank. One that waits for its answer is not idle."""
        return self._waiting is not None, self.seen

    def make_way(self) -> None:
        """Cut the connection at once, because another one needs its file descriptor."""
        self.close()
        self.transport.abortConnection()

    @property
    def body_address(self) -> str:
        """See `long_bodies.HasBody`."""
        return address_of(host_of(self.transport.getPeer()))

    def drop_body(self) -> None:
        """See `long_bodies.HasBody`."""
        self._shared.idle.slow += 1
        self.transport.abortConnection()

    def _end_body(self, kept: int = 0) -> None:
        """Forget the body: it is whole, or refused. `kept`: its last bytes, if its content is kept until the answer."""
        if kept:
            self._shared.long_bodies.keep(self, kept)
        else:
            self._shared.long_bodies.end(self)
        if self._holds_body:  # its last bytes had been received before it was held
            self._holds_body = False
            self._read_or_pause()

    def hold_body(self) -> None:
        """See `long_bodies.HasBody`."""
        self._holds_body = True
        self._read_or_pause()

    def go_on_with_body(self) -> None:
        """See `long_bodies.HasBody`."""
        self._holds_body = False
        self._shared.idle.expect_rest(self)
        self._read_or_pause()

    def _read_or_pause(self) -> None:
        """Read from the peer only while there is room. See `FastChannel`."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection once everything is written. Whatever the peer still sends is dropped."""
        if self._closing:
            return
        self._closing = True
        self._drop_requests()
        if not self._reads:
            # TLS is closed by the peer's last word, which must be read.
            self._reads = True
            self.transport.resumeProducing()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _drop_requests(self) -> None:
        self.expect(None)
        self._early = b""
        self._partial = None
        self._full = False

    def readConnectionLost(self) -> None:
        """The peer sends nothing more. Close the connection once the requests that have come are answered.

        With Redis the end often comes before the answer to the push in front of it. A request that registered a call for the
        case that its peer leaves is a listener's. It ends now, because its answer may be far away and its place is counted.
        """
        waiting = self._waiting
        if self._closing or (waiting is not None and waiting.ends_with_peer):
            sockets.end(self.transport)
        elif waiting is not None:
            self._ended = True
        elif sockets.unsent(self.transport):
            self.close()  # the rest of a long answer is on its way
        else:
            sockets.end(self.transport)

    def writeConnectionLost(self) -> None:
        """Do nothing: only a half close of our own would call this."""

    def _end_if_answered(self) -> None:
        """End the connection of a peer that sends nothing more, unless a request of it is still to be answered.

        The request that waits may have come behind others, so it may be a listener's.
        """
        waiting = self._waiting
        if self._closing or self._serving:
            return
        if waiting is None and not (self._early or self._continues):
            self.close()
        elif waiting is not None and waiting.ends_with_peer:
            sockets.end(self.transport)

    def connectionLost(self, reason: Failure) -> None:
        """Tell the request that is being answered, and leave no reference cycle behind (see `runtime.gc_pauses`)."""
        self._shared.idle.forget(self)
        self._shared.long_bodies.end(self)
        self._closing = self._reads = True
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        waiting, self._waiting = self._waiting, None
        if isinstance(waiting, FastRequest):
            waiting.lost()  # first, because the next line makes it forget whom to tell
        self._drop_requests()
        self._tell_read()
        twisted, self._twisted = self._twisted, None
        if twisted is not None:
            twisted.connectionLost(reason)
        if sockets.lowest(self.transport) is not self.transport:
            self.transport.unregisterProducer()  # a TLS transport keeps its producer otherwise

    def release(self) -> tuple[Transport, bytes]:
        """Give the connection away, with the bytes behind the request that is being answered."""
        early, self._closing = self._early, True
        self._waiting = self._twisted = None
        self._drop_requests()
        self._shared.idle.forget(self)
        self.transport.unregisterProducer()
        if self._ended or not self._reads:  # an end that was read is read again, by the protocol that takes over
            self._reads = True
            self.transport.resumeProducing()
        return self.transport, early
