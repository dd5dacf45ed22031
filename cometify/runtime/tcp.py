"""The eager TCP transport, the ports that make it, and the socket options of a listener.

The private names of `twisted.internet.tcp.Connection` and `twisted.internet.abstract.FileDescriptor` are used in this
module alone: `_tempDataLen`, `_aborting` and `_writeDisconnecting`. A test holds a hash of the code that they stand for.
"""

import socket
from collections.abc import Iterable
from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IProtocolFactory, IPushProducer
from twisted.protocols.tls import TLSMemoryBIOFactory

from cometify.runtime.tls_handshake import PatientTLS

SEND_BUFFER = 64 * 1024
"""Bytes of SO_SNDBUF of a listener. Without this bound the kernel keeps megabytes for each listener that reads slowly."""
ACKNOWLEDGED_WITHIN = 60_000
"""Milliseconds of TCP_USER_TIMEOUT: a peer that acknowledges nothing for so long is gone."""
STALLED_WITHIN = 75_000
"""The same while a listener does not read. It is longer because the kernel counts the time that a peer's window is
closed too, and the server closes a stalled listener by itself before."""
BACKLOG = 4096
"""Connections that may wait to be accepted, if the system's somaxconn allows it: thousands may come back at once."""
MOST_ACCEPTED = 64
"""Connections that are accepted in one turn of the reactor, in some 2 ms."""

LISTENER_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, ACKNOWLEDGED_WITHIN),
)


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


class EagerServer(tcp.Server):
    """A server transport whose write() sends at once when nothing is queued.

    Bytes that cannot be sent at once are kept as Twisted keeps them. Sending at once spares a turn of the reactor and two
    epoll_ctl() for each write.
    """

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

    @property
    def unsent(self) -> int:
        """Bytes in the process that wait for the peer."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    def call_when_writable(self, rest: bytes, producer: IPushProducer) -> None:
        """Write `rest` as soon as possible, and then call `producer.resumeProducing()`.

        `producer` must be the one that is registered. Twisted by itself resumes only producers that it has paused, which
        it does above 64 KiB.
        """
        self.producerPaused = True
        if rest:
            FileDescriptor.write(self, rest)
        else:
            self.startWriting()


class EagerPort(tcp.Port):
    """A port whose connections are eager. They inherit a listener's options from the listening socket."""

    transport = EagerServer

    def doRead(self) -> None:
        """Accept a bounded number of connections. Twisted by itself accepts twenty more each time, without a bound."""
        self.numberAccepts = min(self.numberAccepts, MOST_ACCEPTED)
        super().doRead()

    def createInternetSocket(self) -> socket.socket:
        made = super().createInternetSocket()
        for level, option, value in LISTENER_OPTIONS:
            made.setsockopt(level, option, value)
        return cast("socket.socket", made)


class SharedPort(EagerPort):
    """A port with a number that other processes listen on too. The kernel gives each connection to one of them."""

    def createInternetSocket(self) -> socket.socket:
        made = super().createInternetSocket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return made


class EagerReactor:
    """A reactor for endpoints, whose TCP and TLS ports are eager. Everything else is the wrapped reactor's.

    `port`: the class of its ports.
    """

    def __init__(self, reactor: Any, port: type[EagerPort] = EagerPort) -> None:
        self._reactor = reactor
        self._port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = BACKLOG, interface: str = "") -> EagerPort:
        """See IReactorTCP."""
        listening = self._port(port, factory, max(backlog, BACKLOG), interface, self._reactor)
        listening.startListening()
        return listening

    def listenSSL(
        self, port: int, factory: IProtocolFactory, contextFactory: Any, backlog: int = BACKLOG, interface: str = ""
    ) -> EagerPort:
        """See IReactorSSL."""
        tls = TLSMemoryBIOFactory(contextFactory, False, factory, clock=self._reactor)
        # Twisted's default gathers writes until the reactor's next turn, with a DelayedCall for each. A delivery takes
        # twice as long with it, and gains nothing because a listener's frames are joined before they are written.
        tls.protocol = PatientTLS
        return self.listenTCP(port, tls, backlog, interface)
