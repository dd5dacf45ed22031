"""A WebSocket to a server, on Autobahn's client. Its owner gets one frame of the protocol after the other."""

import json
import re
from typing import Any, Protocol

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS

from cometify import __version__
from cometify.command.frames import Frame, read_frame
from cometify.command.server_url import ServerURL

USER_AGENT = f"cometify/{__version__}"
HANDSHAKE_WITHIN = 10
"""Seconds that the handshake may take after the connection is made. Connecting itself may take as long."""
_MOST_BYTES = 1 << 20
"""Bytes of a message. A push has less than half of it."""


class Owner(Protocol):
    """The object that a socket reports to."""

    def opened(self, socket: "FrameSocket") -> None:
        """The handshake is done."""

    def heard(self, text: str, frame: Frame) -> None:
        """A frame came. `text`: the frame as it was sent."""

    def closed(self, code: int | None, reason: str, status: int | None) -> None:
        """The connection is gone, opened or not.

        `code`: of the close frame. `status`: of an HTTP answer that refused the handshake. None if there was none.
        """


class FrameSocket(WebSocketClientProtocol):
    """Reads frames. Any other message ends the connection, because the server sends only frames."""

    factory: "_Factory"
    _why = ""
    """The reason for which this side has ended the connection."""

    def dataReceived(self, data: bytes) -> None:
        """See Autobahn, which decodes the answer to the handshake strictly, and raises if it is not UTF-8."""
        try:
            super().dataReceived(data)
        except UnicodeDecodeError:
            self._why = "The answer to the handshake is none of Cometify's"
            self.dropConnection(abort=True)

    def onOpen(self) -> None:
        self.factory.owner.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        frame = read_frame(payload)
        if frame is None:
            self._why = "A message came that is none of Cometify's"
            self.dropConnection(abort=True)
        else:
            self.factory.owner.heard(payload.decode(), frame)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.owner.closed(code if wasClean else None, self._why or reason or "", self._refusal())

    def _refusal(self) -> int | None:
        """The HTTP status that came instead of 101."""
        words = str(getattr(self, "http_status_line", "")).split()
        return int(words[1]) if len(words) > 1 and re.fullmatch("[0-9]{3}", words[1]) and words[1] != "101" else None

    def say(self, frame: dict[str, Any]) -> None:
        """Send a frame."""
        self.sendMessage(json.dumps(frame).encode())


class _Factory(WebSocketClientFactory):
    def __init__(self, owner: Owner, url: str, reactor: Any) -> None:
        super().__init__(url, useragent=USER_AGENT, reactor=reactor)
        self.owner = owner
        self.protocol = FrameSocket
        self.setProtocolOptions(openHandshakeTimeout=HANDSHAKE_WITHIN, maxMessagePayloadSize=_MOST_BYTES)


def endpoint_of(server: ServerURL, reactor: Any) -> IStreamClientEndpoint:
    """The endpoint of a server. Certificates are checked against those that the system trusts."""
    plain = HostnameEndpoint(reactor, server.address.host, server.address.port, timeout=HANDSHAKE_WITHIN)
    return wrapClientTLS(optionsForClientTLS(server.address.host), plain) if server.is_tls else plain


def open_websocket(server: ServerURL, owner: Owner, reactor: Any) -> Deferred[Any]:
    """Connect. `owner` gets all later events. The Deferred fails if there is no connection, and can be cancelled until then."""
    scheme = "wss" if server.is_tls else "ws"
    factory = _Factory(owner, f"{scheme}://{server.address.authority}{server.path('websocket')}", reactor)
    return endpoint_of(server, reactor).connect(factory)
