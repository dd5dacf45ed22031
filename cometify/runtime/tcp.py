"""The eager TCP transport, the ports that make it, and what is known of a socket."""

import socket
from collections.abc import Iterable
from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.abstract import FileDescriptor
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

SEND_BUFFER = 64 * 1024
"""Bytes of SO_SNDBUF of a listener: without a bound the kernel is the queue, with megabytes for each slow reader."""
ACKNOWLEDGED_WITHIN = 60_000
"""Milliseconds of TCP_USER_TIMEOUT: a peer that acknowledges nothing for so long is gone."""
STALLED_WITHIN = 75_000
"""The same while a listener does not read, for the kernel counts closed windows too: the server has the first word."""
BACKLOG = 4096
"""Connections that may wait to be accepted, if the system's somaxconn allows it: thousands come back at once."""
MOST_ACCEPTED = 64
"""Connections that are accepted in one turn of the reactor, in some 2 ms."""

LISTENER_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, ACKNOWLEDGED_WITHIN),
)


class EagerServer(tcp.Server):
    """A server transport whose write() sends at once when nothing is queued.

    What cannot be sent at once is buffered as ever. That spares a turn of the reactor and two epoll_ctl() for each
    write.
    """

    def write(self, data: bytes) -> None:
        if (
            self._tempDataLen
            or self.dataBuffer
            or self.TLS
            or self.disconnecting
            or self._aborting
            or not self.connected
            or self._writeDisconnecting
            or (self.producer is not None and not self.streamingProducer)
            or len(data) > self.SEND_LIMIT
        ):
            tcp.Server.write(self, data)
            return
        try:
            sent = self.socket.send(data)
        except TypeError:  # not bytes: let the ordinary write complain as it always does
            tcp.Server.write(self, data)
            return
        except OSError:
            sent = 0  # EAGAIN: wait for the reactor. An error: doWrite meets it again, in the reactor's context
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

    def call_when_writable(self, rest: bytes, producer: Any) -> None:
        """Write `rest` as soon as possible, then `producer.resumeProducing()`; Twisted by itself resumes only whom it
        has paused, above 64 KiB.
        """
        self.producerPaused = True
        if rest:
            FileDescriptor.write(self, rest)
        else:
            self.startWriting()


class EagerPort(tcp.Port):
    """A port whose connections are eager, and set up for listeners: they have the options of the listening socket."""

    transport = EagerServer

    def doRead(self) -> None:
        """Accept who waits, but not so many that all others do: Twisted by itself accepts twenty more each time."""
        self.numberAccepts = min(self.numberAccepts, MOST_ACCEPTED)
        super().doRead()

    def createInternetSocket(self) -> socket.socket:
        made = super().createInternetSocket()
        for level, option, value in LISTENER_OPTIONS:
            made.setsockopt(level, option, value)
        return cast("socket.socket", made)


class SharedPort(EagerPort):
    """One of several processes' ports with the same number: the kernel gives each connection to one of them."""

    def createInternetSocket(self) -> socket.socket:
        made = super().createInternetSocket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return made


class EagerReactor:
    """A reactor for endpoints, whose TCP and TLS ports are eager. Everything else is the reactor's own.

    `port`: what listens on TCP.
    """

    def __init__(self, reactor: Any, port: type[EagerPort] = EagerPort) -> None:
        self._reactor = reactor
        self._port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: Any, backlog: int = BACKLOG, interface: str = "") -> EagerPort:
        """See IReactorTCP."""
        listening = self._port(port, factory, max(backlog, BACKLOG), interface, self._reactor)
        listening.startListening()
        return listening

    def listenSSL(
        self, port: int, factory: Any, contextFactory: Any, backlog: int = BACKLOG, interface: str = ""
    ) -> EagerPort:
        """See IReactorSSL."""
        tls = TLSMemoryBIOFactory(contextFactory, False, factory, clock=self._reactor)
        # Twisted's own gathers what is written until the reactor's next turn, by a DelayedCall for each: with that a
        # delivery takes twice as long. What is written here is joined already.
        tls.protocol = TLSMemoryBIOProtocol
        listening = self.listenTCP(port, tls, backlog, interface)
        listening._type = "TLS"
        return listening
