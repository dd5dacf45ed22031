"""The eager TCP transport, the ports that make it, and the socket options of a listener.

The private names of `twisted.internet.tcp.Connection` and `twisted.internet.abstract.FileDescriptor` are used in this
module alone: `_tempDataLen`, `_aborting` and `_writeDisconnecting`. A test holds a hash of the code that they stand for. Of
Python's own socket it is `_accept`, which has been the same since Python 3.4.
"""

import errno
import socket
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from select import EPOLLET, EPOLLIN, EPOLLRDHUP
from typing import Any, Self, cast

from twisted.internet import main, tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.runtime.attribute_names import teach_names
from cometify.runtime.connection_counts import ConnectionShare
from cometify.runtime.connection_limits import ConnectionLimits
from cometify.runtime.left_peers import LEFT
from cometify.runtime.reactor import Clock
from cometify.runtime.spare_descriptor import SpareDescriptor

log = Logger()

SEND_BUFFER = 64 * 1024
"""Bytes of SO_SNDBUF of a listener. Without this bound the kernel keeps megabytes for each listener that reads slowly."""
ACKNOWLEDGED_WITHIN = 60_000
"""Milliseconds of TCP_USER_TIMEOUT: a peer that acknowledges nothing for so long is gone."""
STALLED_WITHIN = 75_000
"""The same while a listener does not read. It is longer because the kernel also counts the time in which
the peer's window is closed. The server itself closes a stalled listener earlier."""
BACKLOG = 4096
"""Connections that may wait to be accepted, if the system's somaxconn allows it: thousands may come back at once."""
MOST_ACCEPTED = 64
"""Connections that are accepted in one turn of the reactor, in some 2 ms."""
MOST_ACCEPTED_PROMPT = 4
"""The same of a port that has a reserve of descriptors. Those that make way for new ones have theirs until the next turn."""
CANNOT_ACCEPT_AGAIN = 1
"""Seconds without accepting, after the system had no file descriptor or no memory for a connection."""
READ = 2 * 1024
"""Bytes of one read. More would hold thousands of pings or chunks of one byte, and everybody else would wait for all of
them: 20 to 40 ms for the 64 KiB that Twisted reads. With ten peers that send chunks, 2 KiB each are 14 ms."""
LONG_READ = 64 * 1024
"""Bytes of one read within a body of known length, whose bytes are only put together."""
QUIETLY = EPOLLIN | EPOLLRDHUP | EPOLLET
"""Bits of a connection: epoll tells once that it is ready. Else it would tell of thousands in each turn, before a new one."""

LISTENER_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, ACKNOWLEDGED_WITHIN),
)
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Errors of accept() that stay for a while. All others are about one connection."""


def can_send_now(transport: tcp.Connection) -> bool:
    """True if nothing waits in the transport and a send() on its socket may go out now.

    Otherwise the bytes must go through the transport's `write`, which keeps the order and knows what to drop. The reasons
    are: bytes are kept for the peer; `startTLS` was called; the connection is being closed, aborted or half closed, or is
    lost; or a pull producer is registered, which Twisted asks for more only after a write of its own.
    """
    return not (
        transport._tempDataLen
        or transport.dataBuffer
        or transport.TLS
        or transport.disconnecting
        or transport._aborting
        or not transport.connected
        or transport._writeDisconnecting
        or (transport.producer is not None and not transport.streamingProducer)
    )


SPARE = SpareDescriptor()


class EagerServer(tcp.Server):
    """A server transport whose write() sends at once when nothing is queued.

    Bytes that cannot be sent at once are kept as Twisted keeps them. This spares a turn of the reactor and two epoll_ctl().
    """

    read_size = READ
    epoll_bits = QUIETLY
    paid_until = 0.0
    """The time at which its share of the server has paid for its reads. See `epoll_loop.DirectPoll`."""
    has_more: bool | None = None
    """True if the last read was full, so that there may be more to read. None before the first read."""
    is_prompt = False
    """True if it is read before all others. See `read_order.ReadOrder`."""
    is_likely = False
    """True if it is read before the crowd, because a request of it looked like a push."""
    waits_in: OrderedDict[object, tuple[int, int]] | None = None
    """The rank in which it waits to be read, None if it does not. Only `read_order.ReadOrder` sets it."""

    def doRead(self) -> ConnectionLost | ConnectionDone | None:  # type: ignore[override] # one of the bases says None
        """Read once. Returns the reason if the connection is over.

        Twisted's own takes `bufferSize`, which is also the number of unsent bytes above which it pauses a producer.
        """
        size = self.read_size
        if self.has_more is None and not self.is_prompt and LEFT.is_read_too_late(self.socket.fileno()):
            return main.CONNECTION_LOST
        try:
            data = self.socket.recv(size)
        except BlockingIOError:
            self.has_more = False
            return None
        except OSError:
            return main.CONNECTION_LOST
        if not data:
            return main.CONNECTION_DONE
        self.has_more = len(data) == size
        self.protocol.dataReceived(data)
        return None

    def write(self, data: bytes) -> None:
        if not can_send_now(self) or len(data) > self.SEND_LIMIT:
            tcp.Server.write(self, data)
            return
        try:
            sent = self.socket.send(data)
        except TypeError:  # not bytes: Twisted's own write raises the error that callers know
            tcp.Server.write(self, data)
            return
        except OSError:
            # EAGAIN, or a real error, which the reactor meets again when it writes. It ends the connection then.
            sent = 0
        if sent != len(data):
            FileDescriptor.write(self, data[sent:] if sent else data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        try:
            data = b"".join(iovec)
        except TypeError:
            tcp.Server.writeSequence(self, iovec)
            return
        self.write(data)

    def connectionLost(self, reason: Failure) -> None:
        is_first = hasattr(self, "socket")  # Twisted deletes it, and does nothing the second time
        super().connectionLost(reason)
        if is_first and isinstance(self.server, EagerPort):
            self.server.connection_lost(str(self.client[0]))

    @property
    def unsent(self) -> int:
        """Bytes in the process that wait for the peer."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    def call_when_writable(self, rest: bytes, producer: IPushProducer) -> None:
        """Write `rest` as soon as possible, and then call `producer.resumeProducing()`.

        `producer` must be the one that is registered. Twisted resumes only those that it has paused, above 64 KiB.
        """
        self.producerPaused = True
        if rest:
            FileDescriptor.write(self, rest)
        else:
            self.startWriting()


class EagerPort(tcp.Port):
    """A port whose connections are eager. They inherit a listener's options from the listening socket.

    `limits`: the bounds that its connections count for, None if there are none.
    """

    transport = EagerServer
    limits: ConnectionLimits | None = None
    share: ConnectionShare | None = None
    """The count of this worker's connections, None if no other process accepts from the socket."""
    is_resting = False
    is_prompt = False
    """Its connections are read before those of other ports. See `read_order.ReadOrder`."""
    is_inherited = False
    """The socket is another process's too, which accepts whatever waits in it when this one ends."""

    @classmethod
    def of_socket(cls, listening: socket.socket, factory: IProtocolFactory, reactor: Clock) -> Self:
        """Make a port from a socket that listens already. The port gets a descriptor of its own."""
        listening.setblocking(False)
        port = cast("Self", cls._fromListeningDescriptor(reactor, listening.fileno(), listening.family, factory))
        for level, option, value in LISTENER_OPTIONS:
            listening.setsockopt(level, option, value)
        return port

    def doRead(self) -> None:
        """Accept a bounded number of connections, and close at once those that the limits do not admit.

        Twisted by itself accepts twenty more each time, and logs two lines for each that gets no file descriptor.
        """
        most = min(self.numberAccepts, MOST_ACCEPTED_PROMPT if self.is_prompt else MOST_ACCEPTED)
        accepted = 0
        try:
            while accepted < most:
                self._accept_one()
                accepted += 1
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno in _NO_ROOM:
                self._pause(error)
        # Twisted does the same: a port at which many wait has more of them accepted the next time.
        self.numberAccepts = accepted + 20 if accepted == most else max(1, accepted)

    def _accept_one(self) -> None:
        try:
            # `socket.accept()` takes 1.5 us longer, because it makes enumerations of the family and the type each time.
            descriptor, address = self.socket._accept()  # type: ignore[union-attr]
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            SPARE.accept_and_close(self.socket)
            if self.limits is not None:
                self.limits.refuse_for_descriptors()
        else:
            self._accepted(socket.socket(self.addressFamily, self.socketType, 0, descriptor), address)

    def _accepted(self, connection: socket.socket, address: tuple[Any, ...]) -> None:
        if len(address) == 4 and address[3]:  # the scope of a link-local address
            name, _port = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
            address = (name, *address[1:])
        host = address[0]
        if self.limits is not None and not self.limits.admits(host, connection.fileno()):
            connection.close()
            return
        if self.share is not None:
            self.share.opened()
        protocol = self._protocol_for(address)
        if protocol is None:
            connection.close()
            self.connection_lost(host)
            return
        number, self.sessionno = self.sessionno, self.sessionno + 1
        transport = self.transport(connection, protocol, address, self, number, self.reactor)
        if self.is_prompt:
            transport.is_prompt = True
        try:
            protocol.makeConnection(transport)
        except Exception:  # noqa: BLE001 - an error with one connection must not end the port
            log.failure("Beginning with a connection failed")
            transport.abortConnection()

    def _protocol_for(self, address: tuple[Any, ...]) -> IProtocol | None:
        try:
            protocol: IProtocol | None = cast("IProtocolFactory", self.factory).buildProtocol(self._buildAddr(address))
        except Exception:  # noqa: BLE001 - as above
            log.failure("Making the protocol of a connection failed")
            return None
        return protocol

    def connection_lost(self, host: str) -> None:
        """Called once for each connection that was admitted."""
        if self.limits is not None:
            self.limits.closed(host)
        if self.share is not None:
            self.share.closed()

    def _pause(self, error: OSError) -> None:
        """Accept nothing for a while: the connections wait in the kernel, and asking again at once would take all time."""
        text = "Port {port} accepts nothing for a second: {error}"
        log.warn(text, port=self._realPortNumber, error=error.strerror)  # noqa: G010 - this is Twisted's
        self._rest(CANNOT_ACCEPT_AGAIN)

    def _rest(self, seconds: float) -> None:
        self.is_resting = True
        self.stopReading()
        cast("Clock", self.reactor).callLater(seconds, self._go_on)

    def _go_on(self) -> None:
        self.is_resting = False
        if self.connected:
            self.startReading()

    def connectionLost(self, reason: Failure) -> None:
        """Close the port, after it has accepted whoever has connected: the kernel would reset these connections."""
        with suppress(OSError):
            while not self.is_inherited:
                self._accept_one()
        super().connectionLost(reason)

    def createInternetSocket(self) -> socket.socket:
        made = super().createInternetSocket()
        for level, option, value in LISTENER_OPTIONS:
            made.setsockopt(level, option, value)
        return cast("socket.socket", made)


SET_LATER = ("has_more", "is_likely", "is_prompt", "paid_until", "read_size", "waits_in")
"""Attributes of a connection that it has only after its first read."""
teach_names(EagerServer, SET_LATER)
