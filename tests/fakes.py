"""Stand-ins for the ends of connections in tests of the rooms below the transports."""

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address

from cometify.core.encodings import STREAM_UNCHUNKED
from cometify.core.group_filter import Filters
from cometify.core.listener import Listener
from cometify.core.view import View


class Peer(Listener):
    """A listener in a view without a connection. Whatever it is sent, it takes all of it."""

    encoding = STREAM_UNCHUNKED

    def __init__(self, view: View | None = None, filters: Filters | None = None, cursor: int = 0) -> None:
        super().__init__()
        self.view = view
        self.filters = filters
        self.cursor = cursor
        if view is not None:
            view.members += 1
            if filters is not None:
                view.filtered.add(self, filters)

    def wake(self) -> None:
        self.send = len


class Names:
    """A resolver of host names. `addresses`: those of each name. An IP address is its own name."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}

    def resolveHostName(self, receiver: Any, name: str, portNumber: int = 0, *_more: Any, **_named: Any) -> None:
        for host in self.addresses.get(name, [] if name[-1:].isalpha() else [name]):
            kind = IPv6Address if ":" in host else IPv4Address
            receiver.addressResolved(kind("TCP", host, portNumber))
        receiver.resolutionComplete()
