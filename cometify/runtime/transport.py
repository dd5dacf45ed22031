"""A stream transport and its protocol as this package uses them, for the type checker.

`ITransport`, `ITCPTransport` and `IConsumer` are three zope interfaces, and a listener's transport is all of them.
"""

from typing import Protocol

from twisted.internet.interfaces import IAddress, IPullProducer, IPushProducer
from twisted.python.failure import Failure


class Transport(Protocol):
    """TCP, TLS or a Unix socket, with the PROXY protocol's wrapper around it or not."""

    def write(self, data: bytes, /) -> None:
        """Send `data`, or keep it until the peer reads. Never raises for a peer that is gone."""

    def loseConnection(self) -> None:
        """Close the connection once everything is sent."""

    def abortConnection(self) -> None:
        """Close the connection at once. Drops what was not sent."""

    def registerProducer(self, producer: IPushProducer | IPullProducer, streaming: bool, /) -> None:
        """See IConsumer."""

    def unregisterProducer(self) -> None:
        """See IConsumer."""

    def pauseProducing(self) -> None:
        """Stop reading from the peer."""

    def resumeProducing(self) -> None:
        """Read from the peer again."""

    def getPeer(self) -> IAddress:
        """The address of the peer."""

    def getHost(self) -> IAddress:
        """The address of this end."""


class StreamProtocol(Protocol):
    """The object that a transport gives its bytes to. See IProtocol."""

    def makeConnection(self, transport: Transport, /) -> None:
        """The connection is this protocol's from now on."""

    def dataReceived(self, data: bytes, /) -> None:
        """The peer has sent `data`."""

    def connectionLost(self, reason: Failure, /) -> None:
        """The connection is closed."""
