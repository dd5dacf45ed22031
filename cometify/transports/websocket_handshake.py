"""GET /{apiKey}/websocket: the opening handshake (RFC 6455, section 4.2).

A plain handshake is answered here. Every other handshake is answered by Autobahn, which knows the many ways in which one
can be wrong. Either way the connection then belongs to a `WebSocketListener`, because an idle listener must cost little.
"""

from __future__ import annotations  # functions within functions are annotated, at a cost for each call otherwise

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha1
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.logger import Logger

from cometify.core import errors
from cometify.core.backlog import Backlog
from cometify.core.errors import Refused
from cometify.core.listen_request import listen_request_from_query
from cometify.http.client_address import client_address
from cometify.http.exchange import PROBLEM, Exchange, problem_document
from cometify.http.response_head import head_lines, response_head
from cometify.http.site import Endpoint, take_over
from cometify.http.twisted_request import Request
from cometify.runtime import sockets
from cometify.runtime.reactor import Clock
from cometify.transports.context import Context
from cometify.transports.http_listener import account_of
from cometify.transports.websocket import WebSocketListener
from cometify.websocket.permessage_deflate import negotiate

log = Logger()

_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SWITCHING = head_lines(101, ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")))


def _response(key: str, extensions: bytes | None) -> bytes:
    """The response that accepts a handshake. `extensions`: the ones that were agreed on, None if there are none."""
    accept = b64encode(sha1(key.encode() + _GUID, usedforsecurity=False).digest())
    agreed = b"" if extensions is None else b"Sec-WebSocket-Extensions: %b\r\n" % extensions
    return b"%bSec-WebSocket-Accept: %b\r\n%b\r\n" % (_SWITCHING, accept, agreed)


def _arrive(
    request: Exchange,
    context: Context,
    deflates: bool,
    connect: Callable[[WebSocketListener, Callable[[], None]], None],
) -> None:
    """Make a listener for what its URL asks for. `connect` gives it the connection, and then calls its second argument.

    A refusal is told after the handshake, by an error frame: a browser hides the body of a failed handshake from its page.
    """
    refused = ask = None
    try:
        account = account_of(request, context)
        query = request.query()
        if query.get("identifiers", _EMPTY) != _EMPTY or any(query.get(name, _EMPTY) != _EMPTY for name in _NAMES):
            ask = listen_request_from_query(query, spelling=account.spelling)
    except Refused as error:
        refused = error
    address = client_address(request, context.trusted, context.untrusted)
    listener = WebSocketListener(context, request.segments[0], address, deflates=deflates)

    def begin() -> None:
        if refused is not None:
            listener.end(refused)
        elif ask is not None:
            listener.listen(ask)
        else:
            listener.expect_listen()

    connect(listener, begin)


_NAMES = ("secureKey", "token", "position", "listener")
_EMPTY = [""]


_WRONG = Refused(
    errors.INVALID_PARAMETER,
    "This is not a WebSocket handshake (RFC 6455, section 4.1): send a GET with HTTP/1.1, Upgrade: websocket, Connection: "
    "Upgrade, Sec-WebSocket-Version: 13 and a Sec-WebSocket-Key of 16 random bytes in Base64, each header once.",
)
"""The refusal of every wrong handshake."""


class _QuietLog:
    """Autobahn's log, reduced to its errors. For each wrong handshake it would write two lines with the peer's address
    and with text of the peer's choice.
    """

    error, critical, failure = log.error, log.critical, log.failure

    def info(self, *_format: object, **_values: object) -> None:
        """Write nothing."""

    debug = trace = warn = info


class Handshake(WebSocketServerProtocol):
    """A handshake that Autobahn answers. `request` is the one that twisted.web has read."""

    request: Request
    context: Context
    extensions: bytes | None
    log = _QuietLog()

    def failHandshake(
        self, _reason: str, _code: int = 400, responseHeaders: Iterable[tuple[str, str]] | None = None
    ) -> None:
        """Refuse a wrong handshake with a problem document.

        Autobahn would put its reason into the status line, and the reason repeats text of the peer: a token, or control
        characters. It would answer 505 to an old version of HTTP, and a server error is not what that is.
        """
        self.context.membership.count_refusal(_WRONG, self.request.segments[0])
        body = problem_document(self.request, _WRONG)
        headers = [(b"Content-Type", PROBLEM), (b"Content-Length", b"%d" % len(body)), (b"Connection", b"close")]
        headers += [(name.encode(), str(value).encode()) for name, value in responseHeaders or ()]
        self.sendData(response_head(_WRONG.code.status, headers) + body)
        self.dropConnection(abort=False)

    def onConnect(self, _request: object) -> tuple[None, dict[str, str]]:
        """Accept. Compression is answered by a header of our own, because Autobahn has not seen the client's offers."""
        return None, {"Sec-WebSocket-Extensions": self.extensions.decode()} if self.extensions else {}

    def onOpen(self) -> None:
        """The handshake is done: give the connection to a listener."""
        _arrive(self.request, self.context, self.extensions is not None, self._hand_on)

    def _hand_on(self, listener: WebSocketListener, begin: Callable[[], None]) -> None:
        transport: Any = self.transport
        sockets.set_protocol(transport, listener)
        listener.makeConnection(transport)
        begin()


class WebSocketEndpoint(Endpoint):
    """The URL at which clients shake hands."""

    allows_fast_path = True
    upgrades = True

    def __init__(self, context: Context, reactor: Clock) -> None:
        self._context = context
        self._factory = WebSocketServerFactory(server="", reactor=reactor)
        # Version 8, a draft of RFC 6455, tells the page's origin in another header than the one that `origins` is about.
        self._factory.setProtocolOptions(
            versions=[13],
            webStatus=False,
            openHandshakeTimeout=0,
            autoPingInterval=0,
            allowNullOrigin=True,
            allowedOrigins=["*"],
        )
        self._factory.protocol = Handshake

    def is_plain(self, headers: Mapping[str, str]) -> bool:
        return (
            headers.get("upgrade", "").lower() == "websocket"
            and headers.get("sec-websocket-version") == "13"
            and _KEY.fullmatch(headers.get("sec-websocket-key", "")) is not None
            # Autobahn refuses a list in which a subprotocol occurs twice.
            and "sec-websocket-protocol" not in headers
        )

    def count_refusal(self, refused: Refused, request: Exchange) -> None:
        self._context.membership.count_refusal(refused, request.segments[0])

    def serve(self, request: Exchange) -> None:
        if isinstance(request, Request):
            self._leave_to_autobahn(request)
        else:
            self._answer_plain(request)

    def _answer_plain(self, request: Exchange) -> None:
        extensions = negotiate(request.header("sec-websocket-extensions"))
        response = _response(request.header("sec-websocket-key") or "", extensions)

        def connect(listener: WebSocketListener, begin: Callable[[], None]) -> None:
            def begin_unless_left() -> None:
                # In a storm of joins nearly all clients have left by now, and a join costs more than to find that out.
                if listener.transport is not None and sockets.has_left(listener.transport):
                    listener.transport.abortConnection()
                else:
                    begin()

            listener.backlog = Backlog(preamble=response)  # sent in one write with the first frames
            take_over(request, listener, begin_unless_left)

        _arrive(request, self._context, extensions is not None, connect)

    def _leave_to_autobahn(self, request: Request) -> None:
        if (request.header("upgrade") or "").lower() != "websocket":
            raise Refused(
                errors.UPGRADE_REQUIRED,
                "This URL speaks WebSocket. If your client does, a proxy between has dropped the Upgrade header.",
            )
        handshake: Any = self._factory.buildProtocol(request.client)
        handshake.request = request
        handshake.context = self._context
        handshake.extensions = negotiate(",".join(request.headers("sec-websocket-extensions")))
        # Autobahn reads a handshake from its transport only. Its own resource for twisted.web writes the request down
        # again and calls `dataReceived` too, and that is the interface of every protocol (IProtocol).
        head = _head_of(request)
        take_over(request, handshake, lambda: handshake.dataReceived(head))


def _head_of(request: Request) -> bytes:
    """The head of the request as bytes again. The offers of extensions are left out because they are answered here."""
    lines = [b"%b %b %b" % (request.method, request.uri, request.clientproto)]
    for name, values in request.requestHeaders.getAllRawHeaders():
        if name.lower() == b"sec-websocket-extensions":
            continue
        lines += [b"%b: %b" % (name, value) for value in values]
    return b"\r\n".join([*lines, b"", b""])
