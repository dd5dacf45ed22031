"""A reactor for endpoints: its ports are eager, and use sockets that were inherited."""

from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from cometify.runtime.connection_counts import ConnectionShare
from cometify.runtime.connection_limits import ConnectionLimits
from cometify.runtime.inherited_sockets import InheritedSockets
from cometify.runtime.shared_port import SharedPort
from cometify.runtime.tcp import BACKLOG, EagerPort
from cometify.runtime.tls_handshake import PatientTLS


class EagerReactor:
    """A reactor for endpoints, whose TCP and TLS ports are eager. Everything else is the wrapped reactor's.

    `share`: the count of a worker's connections, None outside of workers. `limits`: the bounds of the connections,
    None if there are none. `inherited`: sockets that listen already. A port at the address of one of them uses it. `is_prompt`:
    its connections are read before those of others.
    """

    def __init__(
        self,
        reactor: Any,
        share: ConnectionShare | None = None,
        limits: ConnectionLimits | None = None,
        inherited: InheritedSockets | None = None,
        *,
        is_prompt: bool = False,
    ) -> None:
        self._reactor = reactor
        self._port = EagerPort if share is None else SharedPort
        self._share = share
        self._limits = limits
        self._inherited = inherited or InheritedSockets()
        self._is_prompt = is_prompt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = BACKLOG, interface: str = "") -> EagerPort:
        """See IReactorTCP."""
        inherited = self._inherited.find(port, interface)
        # Only a worker accepts from the sockets that the supervisor has opened. The supervisor itself must not find them.
        opened = None if self._share is None else self._inherited.find_opened(port, interface)
        found = inherited or opened
        if found is None:
            listening = self._port(port, factory, max(backlog, BACKLOG), interface, self._reactor)
        else:
            listening = self._port.of_socket(found, factory, self._reactor)
            listening.is_inherited = found is inherited
        listening.limits = self._limits
        listening.share = self._share
        listening.is_prompt = self._is_prompt
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
