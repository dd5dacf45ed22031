"""A listener on a WebSocket, from the end of the handshake on.

What to listen to comes by the query, or by the first message; each later `listen` replaces the whole set. Whatever is
refused is told by an error frame and a close code after the handshake, for a browser shows a page nothing of a
handshake that failed.
"""

from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.core import errors
from cometify.core.encodings import WEBSOCKET, WEBSOCKET_DEFLATED
from cometify.core.errors import Refused
from cometify.core.listen_request import ListenRequest, listen_request_from_frame
from cometify.core.listener_state import State
from cometify.transports.connection import Connection
from cometify.transports.context import Context
from cometify.transports.http_listener import MAX_LISTEN
from cometify.websocket.frame_reader import (
    CLOSE,
    INVALID_DATA,
    PING,
    PONG,
    TEXT,
    TOO_BIG,
    FrameReader,
    Message,
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
    """From the end of the handshake on. `deflates`: permessage-deflate was agreed on."""

    __slots__ = ("_address", "_api_key", "_asks", "_closing", "_listens", "_reader", "_silence", "_since", "encoding")

    def __init__(self, context: Context, api_key: str, address: str, *, deflates: bool) -> None:
        super().__init__(context)
        self.encoding = WEBSOCKET_DEFLATED if deflates else WEBSOCKET
        self._api_key = api_key
        self._address = address
        self._reader: FrameReader | None = None
        self._asks: list[ListenRequest] | None = None  # while one is being answered: those that came meanwhile
        self._closing = False
        self._listens = 0
        self._since = 0.0
        self._silence: Any = None

    def expect_listen(self) -> None:
        """Nothing was asked for by the query: it must be soon."""
        if self.backlog is not None:
            self.transport.write(self.backlog.preamble)
            self.backlog = None
        self._silence = self.context.later(SILENCE, self._silent)
        self.context.silent.add(self)

    def _spoken(self) -> None:
        """It has said what it listens to, or will not any more."""
        if self._silence is not None:
            self.context.silent.discard(self)
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
        reader = self._reader or FrameReader(MAX_LISTEN, deflates=self.encoding.deflates)
        found = reader.feed(data)
        self._reader = reader if reader.is_waiting else None
        for message in found:
            self._received(message)

    def _received(self, message: Message | Violation) -> None:
        if self.transport is None:
            return
        if isinstance(message, Violation):
            self._violated(message)
        elif message.opcode == CLOSE:
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
            self.listen(listen_request_from_frame(data))
        except Refused as refused:
            self.end(refused)

    def _count_listen(self) -> None:
        now = self.context.seconds()
        if now - self._since >= MINUTE:
            self._since, self._listens = now, 0
        self._listens += 1
        if self._listens > LISTENS:
            raise Refused(
                errors.TOO_MANY_LISTENERS,
                f"More than {LISTENS} listen frames came within a minute: wait.",
                retry=MINUTE,
            )

    def listen(self, ask: ListenRequest) -> None:
        """Have what is asked for, after what was asked for before."""
        self._spoken()
        if self._asks is not None:
            self._asks.append(ask)
            return
        account = self.context.accounts.get(self._api_key)  # which may have changed since
        if account is None:
            raise Refused(errors.NOT_AUTHORIZED, "The account of this API key is no more.")
        self._asks = []
        joined = self.context.membership.join(self, account, self._address, ask)
        if joined is None:
            self._asks = None
        else:
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
        self.context.membership.part(self)
        self.transport.unregisterProducer()
        self.transport.write(answer_to_close(data))
        self.transport.loseConnection()
        self.context.later(SILENCE, self._cut)

    def connectionLost(self, reason: Failure) -> None:
        self._spoken()
        super().connectionLost(reason)
