"""A stream transport as this package uses it, for the type checker.

`ITransport`, `ITCPTransport` and `IConsumer` are three zope interfaces, and a listener's transport is all of them.
"""

from typing import Protocol

from twisted.internet.interfaces import IAddress, IPullProducer, IPushProducer


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
