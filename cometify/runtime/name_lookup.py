"""Looks up host names without waiting for a resolver that hangs.

The system's resolver blocks its thread, for half a minute and longer when no name server answers. Twisted asks it in the
threads of the reactor's pool. That delays two things. The process ends late, because the reactor waits for its pool. The next
lookup comes late, because its caller waits for the one that hangs. `NameLookup` differs in both:

- It uses threads of its own. They are daemons, so that the process ends without them.
- A caller waits a few seconds at most. The lookup goes on in its thread. Its answer is given to whoever looks up the same
  name then, or soon after.
"""

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.logger import Logger
from zope.interface import implementer

from cometify.runtime.reactor import Reactor

log = Logger()

LOOKUP_WITHIN = 1.5
"""Seconds that a caller waits for an address."""
MOST_THREADS = 20
"""Lookups in progress. A caller beyond them waits for one of those, if it asks for the same name."""
LATE_FOR = 5.0
"""Seconds for which an answer that came too late is kept for the next caller."""

Address = IPv4Address | IPv6Address
Name = tuple[str, int]
"""A host name and a port."""
GetAddrInfo = Callable[..., Sequence[tuple[Any, ...]]]


class PluggableReactor(Reactor, Protocol):
    """A reactor whose resolver can be replaced."""

    def installNameResolver(self, resolver: IHostnameResolver, /) -> IHostnameResolver:
        """See IReactorPluggableNameResolver."""


@implementer(IHostResolution)
@attrs.define(eq=False)
class _Caller:
    """Somebody who waits for the addresses of a name."""

    name: str
    receiver: IResolutionReceiver
    timeout: IDelayedCall | None = None

    def answer(self, addresses: Sequence[Address]) -> None:
        if self.timeout is not None and self.timeout.active():
            self.timeout.cancel()
        for address in addresses:
            self.receiver.addressResolved(address)
        self.receiver.resolutionComplete()

    def cancel(self) -> None:
        """Nothing is to be stopped: the caller will get an answer that it ignores."""


@implementer(IHostnameResolver)
class NameLookup:
    """`getaddrinfo`: the resolver of the system, which may take any time."""

    def __init__(self, reactor: Reactor, getaddrinfo: GetAddrInfo = socket.getaddrinfo) -> None:
        self._reactor = reactor
        self._getaddrinfo = getaddrinfo
        self._callers: dict[Name, list[_Caller]] = {}
        self._late: dict[Name, tuple[float, Sequence[Address]]] = {}
        self._threads = 0
        self._is_slow = False

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Look up all addresses of a name for TCP. A name that is not found in time has none."""
        caller = _Caller(hostName, resolutionReceiver)
        name = hostName, portNumber
        resolutionReceiver.resolutionBegan(caller)
        if isIPAddress(hostName) or isIPv6Address(hostName):
            caller.answer([_literal(hostName, portNumber)])
            return caller
        when, addresses = self._late.pop(name, (-LATE_FOR, ()))
        if self._reactor.seconds() - when < LATE_FOR:
            caller.answer(addresses)
            return caller
        caller.timeout = self._reactor.callLater(LOOKUP_WITHIN, self._too_late, name, caller)
        self._callers.setdefault(name, []).append(caller)
        if self._threads < MOST_THREADS:
            self._threads += 1
            threading.Thread(target=self._look_up, args=(name,), name=f"lookup {hostName}", daemon=True).start()
        return caller

    def _look_up(self, name: Name) -> None:
        """Run in a thread. Every lookup ends with `_answered`, because threads that are counted for ever would run out."""
        addresses: Sequence[Address] = ()
        try:
            addresses = [_address(*entry) for entry in self._getaddrinfo(*name, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError):
            pass  # The name is not known, or is none.
        finally:
            self._reactor.callFromThread(self._answered, name, addresses)

    def _answered(self, name: Name, addresses: Sequence[Address]) -> None:
        self._threads -= 1
        self._is_slow = False
        callers = self._callers.pop(name, [])
        for caller in callers:
            caller.answer(addresses)
        if addresses and not callers:
            self._late = {name: (self._reactor.seconds(), addresses)}

    def _too_late(self, name: Name, caller: _Caller) -> None:
        if not self._is_slow:
            self._is_slow = True
            log.warn(  # noqa: G010 - Twisted's warn is not deprecated.
                "No name server has answered for {host} within {seconds} seconds. Trying again. Look at the name servers "
                "of this machine, or use an IP address.",
                host=name[0],
                seconds=LOOKUP_WITHIN,
            )
        callers = self._callers[name]
        callers.remove(caller)
        if not callers:
            del self._callers[name]
        caller.answer(())


def _literal(host: str, port: int) -> Address:
    return IPv6Address("TCP", host, port) if isIPv6Address(host) else IPv4Address("TCP", host, port)


def _address(family: int, _kind: int, _protocol: int, _name: str, where: tuple[Any, ...]) -> Address:
    return IPv6Address("TCP", *where) if family == socket.AF_INET6 else IPv4Address("TCP", *where)


def look_up_in_own_threads(reactor: PluggableReactor) -> None:
    """Give the reactor a `NameLookup`. Nothing else of Cometify uses the reactor's pool of threads."""
    reactor.installNameResolver(NameLookup(reactor))
