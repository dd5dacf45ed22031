"""The addresses that a webhook may reach.

They are checked when a connection is made. The owner of a name can let it lead elsewhere at any time, so it would not help to
check a name when the account is read.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network
from typing import Any, cast

from twisted.internet.error import NotConnectingError
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from zope.interface import implementer

from cometify.core.client_network import is_in
from cometify.core.public_address import is_public
from cometify.runtime.reactor import Reactor
from cometify.webhooks.turns import MOST_ATTEMPTS

Networks = Sequence[IPv4Network | IPv6Network]


@implementer(IReactorPluggableNameResolver)
class CheckedReactor:
    """A reactor for one request, whose host names have only the addresses that the request may reach.

    `refused`: the others. `allows_public`: public addresses are allowed, beside those in `networks`.

    Twisted tries the next address after 0.3 seconds, while it goes on with those before. So a host with many addresses that
    do not answer would take many file descriptors. With more than `MOST_ATTEMPTS` at once, the oldest is ended.
    """

    def __init__(self, reactor: Reactor, networks: Networks, *, allows_public: bool) -> None:
        self._reactor = reactor
        self._networks = networks
        self._allows_public = allows_public
        self.refused: set[str] = set()
        self._attempts: deque[IConnector] = deque()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def connectTCP(self, *args: Any, **more: Any) -> IConnector:
        """See IReactorTCP."""
        if len(self._attempts) == MOST_ATTEMPTS:
            with suppress(NotConnectingError):  # it has ended
                self._attempts.popleft().stopConnecting()
        connector: IConnector = cast("Any", self._reactor).connectTCP(*args, **more)
        self._attempts.append(connector)
        return connector

    @property
    def nameResolver(self) -> IHostnameResolver:
        """See IReactorPluggableNameResolver."""
        return cast("IHostnameResolver", _CheckedResolver(cast("Any", self._reactor).nameResolver, self))

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """See IReactorPluggableNameResolver. Nobody calls this."""
        raise NotImplementedError

    def allows(self, address: IAddress) -> bool:
        """True if the request may reach an address."""
        host: str = cast("Any", address).host
        if is_in(host, self._networks) or (self._allows_public and is_public(host)):
            return True
        self.refused.add(host)
        return False


@implementer(IHostnameResolver)
class _CheckedResolver:
    def __init__(self, resolver: IHostnameResolver, reactor: CheckedReactor) -> None:
        self._resolver = resolver
        self._reactor = reactor

    def resolveHostName(self, resolutionReceiver: IResolutionReceiver, *args: Any, **more: Any) -> IHostResolution:
        """See IHostnameResolver."""
        receiver = cast("IResolutionReceiver", _CheckedReceiver(resolutionReceiver, self._reactor))
        return self._resolver.resolveHostName(receiver, *args, **more)


@implementer(IResolutionReceiver)
class _CheckedReceiver:
    def __init__(self, receiver: IResolutionReceiver, reactor: CheckedReactor) -> None:
        self._receiver = receiver
        self._reactor = reactor

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: IAddress) -> None:
        if self._reactor.allows(address):
            self._receiver.addressResolved(address)

    def resolutionComplete(self) -> None:
        self._receiver.resolutionComplete()
