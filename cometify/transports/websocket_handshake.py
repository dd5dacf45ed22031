"""GET /{apiKey}/websocket: the handshake (RFC 6455, section 4.2).

A plain one is answered here. Every other one is Autobahn's, which knows the many ways to go wrong. Then the connection
is handed on to a listener of our own: what follows is small, and an idle listener must cost little.
"""

from __future__ import annotations  # those of functions within functions are made at each call

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha1
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.logger import Logger

from cometify.core import errors
from cometify.core.errors import Refused
from cometify.core.listen_request import listen_request_from_query
from cometify.core.listener import Backlog
from cometify.http.client_address import client_address
from cometify.http.exchange import Exchange
from cometify.http.site import Endpoint, take_over
from cometify.http.twisted_request import Request
from cometify.runtime import sockets
from cometify.transports.context import Context
from cometify.transports.http_listener import account_of
from cometify.transports.websocket import WebSocketListener
from cometify.websocket.permessage_deflate import negotiate

log = Logger()

_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def _answer(key: str, extensions: bytes | None) -> bytes:
    """What tells that a handshake was understood, and what was agreed on."""
    accept = b64encode(sha1(key.encode() + _GUID, usedforsecurity=False).digest())
    agreed = b"" if extensions is None else b"Sec-WebSocket-Extensions: %b\r\n" % extensions
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (accept, agreed)
    )


def _arrive(
    request: Exchange,
    context: Context,
    deflates: bool,
    connect: Callable[[WebSocketListener, Callable[[], None]], None],
) -> None:
    """Let a new listener have what its URL asks for. `connect` gives it the connection and lets it begin."""
    refused = None
    api_key, ask = "", None
    try:
        api_key = account_of(request, context).api_key
        query = request.query()
        if query.get("identifiers", _EMPTY) != _EMPTY or any(query.get(name, _EMPTY) != _EMPTY for name in _NAMES):
            ask = listen_request_from_query(query)
    except Refused as error:
        refused = error
    listener = WebSocketListener(context, api_key, client_address(request, context.trusted), deflates=deflates)

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


class _Reticent:
    """Autobahn's log without what strangers can write into it, and their addresses: each wrong handshake is two lines there."""

    error, critical, failure = log.error, log.critical, log.failure

    def info(self, *_about: object, **_more: object) -> None:
        """Nothing."""

    debug = trace = warn = info


class Handshake(WebSocketServerProtocol):
    """Autobahn's part. `request` is what twisted.web has read."""

    request: Request
    context: Context
    extensions: bytes | None
    log = _Reticent()

    def onConnect(self, _request: Any) -> tuple[None, dict[str, str]]:
        """Autobahn has seen no offers, and compresses nothing: what is agreed on is answered by a header of our own."""
        return None, {"Sec-WebSocket-Extensions": self.extensions.decode()} if self.extensions else {}

    def onOpen(self) -> None:
        """The handshake is done: hand the connection on."""
        _arrive(self.request, self.context, self.extensions is not None, self._hand_on)

    def _hand_on(self, listener: WebSocketListener, begin: Callable[[], None]) -> None:
        transport: Any = self.transport
        sockets.set_protocol(transport, listener)
        listener.makeConnection(transport)
        begin()


class WebSocketEndpoint(Endpoint):
    """Where a handshake is expected."""

    allows_fast_path = True
    upgrades = True

    def __init__(self, context: Context, reactor: Any) -> None:
        self._context = context
        self._factory = WebSocketServerFactory(server="", reactor=reactor)
        self._factory.setProtocolOptions(
            webStatus=False, openHandshakeTimeout=0, autoPingInterval=0, allowNullOrigin=True, allowedOrigins=["*"]
        )
        self._factory.protocol = Handshake

    def is_plain(self, headers: Mapping[str, str]) -> bool:
        return (
            headers.get("upgrade", "").lower() == "websocket"
            and headers.get("sec-websocket-version") == "13"
            and _KEY.fullmatch(headers.get("sec-websocket-key", "")) is not None
            and "sec-websocket-protocol" not in headers
        )

    def count_refusal(self, code: errors.Code) -> None:
        self._context.membership.refused[code.name] += 1

    def serve(self, request: Exchange) -> None:
        if isinstance(request, Request):
            self._leave_to_autobahn(request)
        else:
            self._answer_plain(request)

    def _answer_plain(self, request: Exchange) -> None:
        extensions = negotiate(request.header("sec-websocket-extensions"))
        answer = _answer(request.header("sec-websocket-key") or "", extensions)

        def connect(listener: WebSocketListener, begin: Callable[[], None]) -> None:
            listener.backlog = Backlog(preamble=answer)  # it goes out in one write with the first frames
            take_over(request, listener, begin)

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
        head = _head_of(request)
        take_over(request, handshake)
        handshake.dataReceived(head)


def _head_of(request: Request) -> bytes:
    """The request again as bytes, which is what Autobahn reads, without the offers that are not for it."""
    lines = [b"%b %b %b" % (request.method, request.uri, request.clientproto)]
    for name, values in request.requestHeaders.getAllRawHeaders():
        if name.lower() == b"sec-websocket-extensions":
            continue
        lines += [b"%b: %b" % (name, value) for value in values]
    return b"\r\n".join([*lines, b"", b""])
