"""GET /{apiKey}/websocket: pushes over a WebSocket.

Autobahn reads the handshake, which has many ways to go wrong. Then the connection is handed on to a listener of our
own: what follows is small (`rfc6455`), and an idle listener must cost little.

What to listen to comes by the query, or by the first message; each later `listen` replaces the whole set. Whatever is
refused is told by an error frame and a close code after the handshake, for a browser shows a page nothing of a
handshake that failed.
"""

from collections import deque
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.core import errors
from cometify.core.census import address_of
from cometify.core.errors import Refused
from cometify.core.frames import WEBSOCKET
from cometify.core.group import Ask, ask_from_frame, ask_from_query
from cometify.core.listener import State
from cometify.transports.connection import Connection
from cometify.transports.http import Endpoint, Request, peer_address, set_protocol, take_over
from cometify.transports.listening import MAX_LISTEN, account_of
from cometify.transports.node import Node
from cometify.transports.rfc6455 import (
    CLOSE,
    INVALID_DATA,
    PING,
    PONG,
    TEXT,
    TOO_BIG,
    Message,
    Reader,
    Violation,
    answer_to_close,
    close_frame,
    control_frame,
)

SILENCE = 10
"""Seconds within which a WebSocket says what it listens to."""
LISTENS = 60
"""`listen` frames a minute on one connection."""
MINUTE = 60

log = Logger()


class WebSocketListener(Connection):
    """From the end of the handshake on."""

    __slots__ = ("_address", "_api_key", "_asks", "_closing", "_listens", "_reader", "_silence", "_since")
    form = WEBSOCKET

    def __init__(self, node: Node, api_key: str, address: str) -> None:
        super().__init__(node)
        self._api_key = api_key
        self._address = address
        self._reader: Reader | None = None
        self._asks: deque[Ask] | None = None  # while one is being answered: those that came meanwhile
        self._closing = False
        self._listens = 0
        self._since = 0.0
        self._silence: Any = None

    def expect_listen(self) -> None:
        """Nothing was asked for by the query: it must be soon."""
        self._silence = self.node.later(SILENCE, self._silent)
        self.node.silent.add(self)

    def _spoken(self) -> None:
        """It has said what it listens to, or will not any more."""
        if self._silence is not None:
            self.node.silent.discard(self)
            if self._silence.active():
                self._silence.cancel()
            self._silence = None

    def _silent(self) -> None:
        self.end(
            Refused(
                errors.MISSING_PARAMETER,
                f"Nothing was listened to within {SILENCE} seconds: send a listen frame first.",
            )
        )

    # Reading.

    def dataReceived(self, data: bytes) -> None:
        if self._closing and self.transport is None:
            return
        # A reader is kept only while a message is not whole: most listeners never send another.
        reader = self._reader or Reader(MAX_LISTEN)
        try:
            messages = reader.feed(data)
        except Violation as violation:
            self._violated(violation)
            return
        self._reader = reader if reader.is_waiting else None
        for message in messages:
            self._received(message)

    def _received(self, message: Message) -> None:
        if self.transport is None:
            return
        if message.opcode == CLOSE:
            self._closed(message.data)
        elif self._closing or message.opcode == PONG:
            return
        elif message.opcode == PING:
            if self.state is not State.STALLED:  # who pings and does not read is not answered (section 5.5.3 allows it)
                self.put(control_frame(PONG, message.data))
        elif message.opcode == TEXT:
            self._listen(message.data)
        else:
            self.end(Refused(errors.INVALID_BODY, "A listen frame is a text frame, and nothing else is understood."))

    def _listen(self, data: bytes) -> None:
        try:
            data.decode()
        except UnicodeDecodeError:
            self._violated(Violation(INVALID_DATA, "a text frame is UTF-8"))
            return
        try:
            self._count_listen()
            self.listen(ask_from_frame(data))
        except Refused as refused:
            self.end(refused)

    def _count_listen(self) -> None:
        now = self.node.seconds()
        if now - self._since >= MINUTE:
            self._since, self._listens = now, 0
        self._listens += 1
        if self._listens > LISTENS:
            raise Refused(
                errors.TOO_MANY_LISTENERS,
                f"More than {LISTENS} listen frames came within a minute: wait.",
                retry=MINUTE,
            )

    def listen(self, ask: Ask) -> None:
        """Have what is asked for, after what was asked for before."""
        self._spoken()
        if self._asks is not None:
            self._asks.append(ask)
            return
        account = self.node.accounts.get(self._api_key)  # which may have changed since
        if account is None:
            raise Refused(errors.NOT_AUTHORIZED, "The account of this API key is no more.")
        self._asks = deque()
        joined = self.node.joining.join(self, account, self._address, ask)
        joined.addCallbacks(self._joined, self._not_joined)

    def _joined(self, _none: None) -> None:
        asks, self._asks = self._asks or (), None
        if self.state is not State.GONE:
            for ask in asks:
                self.listen(ask)  # the first is answered, or the others wait behind it again

    def _not_joined(self, failure: Failure) -> None:
        self._asks = None
        if isinstance(failure.value, Refused):
            self.end(failure.value)
        else:
            log.failure("A listener could not join", failure)
            self.close(b"", 1011)

    # The end.

    def _violated(self, violation: Violation) -> None:
        if violation.code == TOO_BIG:
            self.end(Refused(errors.BODY_TOO_LARGE, f"A listen frame may have {MAX_LISTEN} bytes."))
        elif self._closing:
            self.transport.loseConnection()
        else:
            self.close(b"", violation.code)

    def farewell(self, code: int) -> bytes:
        return close_frame(code)

    def close(self, last: bytes, code: int) -> None:
        if not self._closing:
            self._closing = True
            self._spoken()
            super().close(last, code)

    def hang_up(self) -> None:
        """Not before the peer has answered the close frame: closing over unread bytes would reset the connection, and
        what was told last would be lost.
        """

    def _closed(self, data: bytes) -> None:
        """The peer's close frame: the answer to ours, or to be answered."""
        if self._closing:
            self.transport.loseConnection()
            return
        self._closing = True
        self._spoken()
        self.node.joining.part(self)
        self.transport.unregisterProducer()
        self.transport.write(answer_to_close(data))
        self.transport.loseConnection()
        self.node.later(SILENCE, self._cut)

    def connectionLost(self, reason: Failure) -> None:
        self._spoken()
        super().connectionLost(reason)


class Handshake(WebSocketServerProtocol):
    """Autobahn's part. `request` is what twisted.web has read."""

    request: Request
    node: Node

    def onOpen(self) -> None:
        """The handshake is done: hand the connection on."""
        transport: Any = self.transport
        request, node = self.request, self.node
        refused = None
        api_key, ask = "", None
        try:
            api_key = account_of(request, node).api_key
            query = request.query()
            if any(query.get(name, [""]) != [""] for name in _NAMES):
                ask = ask_from_query(query)
        except Refused as error:
            refused = error
        listener = WebSocketListener(node, api_key, address_of(peer_address(request, node.trusted)))
        set_protocol(transport, listener)
        listener.makeConnection(transport)
        if refused is not None:
            listener.end(refused)
        elif ask is not None:
            listener.listen(ask)
        else:
            listener.expect_listen()


_NAMES = ("identifiers", "secureKey", "token", "position", "listener")


class WebSocketEndpoint(Endpoint):
    """Where a handshake is expected."""

    def __init__(self, node: Node, reactor: Any) -> None:
        super().__init__()
        self._node = node
        self._factory = WebSocketServerFactory(server="", reactor=reactor)
        self._factory.setProtocolOptions(
            webStatus=False, openHandshakeTimeout=0, autoPingInterval=0, allowNullOrigin=True, allowedOrigins=["*"]
        )
        # Autobahn copies its options to each connection and formats them for a log line that nobody reads: two fifths
        # of what a joining costs. As attributes of a class there is nothing to copy.
        options = {name: _as_attribute(getattr(self._factory, name)) for name in Handshake.CONFIG_ATTRS}
        protocol: Any = type("Handshake", (Handshake,), {**options, "CONFIG_ATTRS": []})
        self._factory.protocol = protocol

    def count_refusal(self, code: errors.Code) -> None:
        self._node.joining.refused[code.name] += 1

    def serve(self, request: Request) -> None:
        if (request.header("Upgrade") or "").lower() != "websocket":
            raise Refused(
                errors.UPGRADE_REQUIRED,
                "This URL speaks WebSocket. If your client does, a proxy between has dropped the Upgrade header.",
            )
        handshake: Any = self._factory.buildProtocol(request.client)
        handshake.request = request
        handshake.node = self._node
        head = _head_of(request)
        take_over(request, handshake)
        handshake.dataReceived(head)


def _as_attribute(option: Any) -> Any:
    """A function that is an option must not become a method."""
    return staticmethod(option) if callable(option) else option


def _head_of(request: Request) -> bytes:
    """The request again as bytes, which is what Autobahn reads."""
    lines = [b"%b %b %b" % (request.method, request.uri, request.clientproto)]
    for name, values in request.requestHeaders.getAllRawHeaders():
        lines += [b"%b: %b" % (name, value) for value in values]
    return b"\r\n".join([*lines, b"", b""])
