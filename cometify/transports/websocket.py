"""A listener on a WebSocket, from the end of the handshake on.

Its identifiers come by the query, or by the first message. Each later `listen` frame replaces the whole set. A refusal is
told by an error frame and a close code after the handshake, because a browser shows its page nothing of a handshake that
failed.
"""

from collections.abc import Iterator, Sequence

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.account_rules import check_names
from cometify.core.encodings import WEBSOCKET, WEBSOCKET_DEFLATED
from cometify.core.errors import Refused
from cometify.core.listen_request import ListenRequest, listen_request_from_frame
from cometify.core.listener_state import State
from cometify.membership import refusals
from cometify.transports.begun_message import MESSAGE_WITHIN, BegunMessage
from cometify.transports.connection import Connection
from cometify.transports.context import Context
from cometify.transports.http_listener import MAX_LISTEN
from cometify.transports.listen_pace import ListenPace
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
"""Seconds within which a WebSocket must have sent its first `listen` frame."""
MOST_PONGS = 16
"""Pings of one read that are answered. RFC 6455, section 5.5.3, allows to answer the last one alone."""

log = Logger()


class WebSocketListener(Connection):
    """A WebSocket after its handshake. `address`: of the client. `deflates`: permessage-deflate was agreed on."""

    __slots__ = (
        "_address",
        "_api_key",
        "_begun",
        "_closing",
        "_pace",
        "_silence",
        "_waiting",
        "encoding",
    )

    def __init__(self, context: Context, api_key: str, address: str, *, deflates: bool) -> None:
        super().__init__(context)
        self.encoding = WEBSOCKET_DEFLATED if deflates else WEBSOCKET
        self._api_key = api_key
        self._address = address
        self._begun: BegunMessage | None = None
        # None, or the requests that have come while the one before them is being answered, with those that they replace.
        self._waiting: list[tuple[ListenRequest, Sequence[ListenRequest]]] | None = None
        self._closing = False
        # None until the second `listen` frame.
        self._pace: ListenPace | None = None
        self._silence: IDelayedCall | None = None

    def expect_listen(self) -> None:
        """Wait for the first `listen` frame, because the query named no identifiers."""
        if self.backlog is not None:
            assert self.transport is not None
            self.transport.write(self.backlog.preamble)
            self.backlog = None
        self._silence = self.context.later(SILENCE, self._silent)
        self.context.silent.add(self)

    def _spoken(self) -> None:
        """Stop waiting for the first `listen` frame."""
        if self._silence is not None:
            self.context.silent.discard(self)
            if self._silence.active():
                self._silence.cancel()
            self._silence = None

    def _hear_no_more(self) -> None:
        """Wait for no `listen` frame, and answer none, because the connection ends."""
        self._spoken()
        if self._pace is not None:
            self._pace.stop()
            self._pace = None

    def _silent(self) -> None:
        self.end(
            Refused(
                errors.MISSING_PARAMETER,
                f"No listen frame came within {SILENCE} seconds: send one when the connection opens.",
            )
        )

    # Reading.

    def dataReceived(self, data: bytes) -> None:
        if self._closing and self.transport is None:
            return
        begun = self._begun
        reader = FrameReader(MAX_LISTEN, deflates=self.encoding.deflates) if begun is None else begun.reader
        found = reader.feed(data)
        if reader.is_waiting:
            self._wait_for_rest(reader, found)
        elif begun is not None:
            self._stop_waiting()
        for message in found if len(found) <= MOST_PONGS else _without_early_pings(found):
            self._received(message)

    def _wait_for_rest(self, reader: FrameReader, found: Sequence[Message | Violation]) -> None:
        """Bound the time of the message that is incomplete. `found`: what was complete before it."""
        if self._begun is None:
            self._begun = BegunMessage(reader, self.message_is_late)
            self.context.begun.watch(self._begun)
        # A control frame may stand between the fragments of a message. The message gets no time for it.
        elif found and not (reader.is_in_message and all(_is_control(message) for message in found)):
            self.context.begun.watch(self._begun)

    def _stop_waiting(self) -> None:
        if self._begun is not None:
            self.context.begun.forget(self._begun)
            self._begun = None

    def message_is_late(self) -> None:
        """Refuse the message that has begun, and so this listener."""
        self.end(
            Refused(
                errors.TOO_SLOW,
                f"A message has begun and is not whole after {MESSAGE_WITHIN} seconds: send each listen frame in one piece.",
            )
        )

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
            # A peer that does not read gets no pong (RFC 6455, section 5.5.3, allows that): its pongs would pile up here.
            if self.state is not State.STALLED:
                self.put(control_frame(PONG, message.data))
        elif message.opcode == TEXT:
            self._listen(message.data)
        else:
            self.end(Refused(errors.INVALID_BODY, "Send listen frames as text frames: no others are understood."))

    def _listen(self, data: bytes) -> None:
        try:
            data.decode()
        except UnicodeDecodeError:
            self._violated(Violation(INVALID_DATA, "a text frame is UTF-8"))
            return
        try:
            request = listen_request_from_frame(data, self._account().spelling)
            if self._pace is None and (self.view is not None or self._waiting is not None):
                self._pace = ListenPace(self)
            if self._pace is None:
                self.listen(request)
            else:
                self._pace.take(request)
        except Refused as refused:
            self.end(refused)

    def listen_in_turn(self, request: ListenRequest, replaced: Sequence[ListenRequest]) -> None:
        """Answer a frame that has waited for its turn, and with it the frames that it replaces."""
        try:
            check_names(self._account(), request.names)  # it was read by the rule of that time
            self.listen(request, replaced)
        except Refused as refused:
            self.end(refused)

    def listen(self, request: ListenRequest, replaced: Sequence[ListenRequest] = ()) -> None:
        """Join, or listen to another set of identifiers. Requests are answered in their order. Raises `Refused`.

        `replaced`: requests before this one that it answers too. See `listen_pace`.
        """
        self._spoken()
        if self._waiting is not None:
            self._waiting.append((request, replaced))
            if self._pace is not None:
                self._pace.join_queue(request)
            return
        account = self._account()
        self._waiting = []
        joined = self.context.membership.join(self, account, self._address, request, replaced=replaced)
        if joined is None:
            self._waiting = None
        else:
            joined.addCallback(self._joined).addErrback(self._not_joined)

    def _account(self) -> Account:
        """The account, which may have changed since the handshake. Raises `Refused` (not_authorized, account_suspended)."""
        account = self.context.accounts.find(self._api_key)
        if account is None:
            raise refusals.key_removed()
        return account

    def _joined(self, _none: None) -> None:
        waiting, self._waiting = self._waiting or [], None
        while waiting and self._waiting is None and self.state is not State.GONE:
            request, replaced = waiting.pop(0)
            if self._pace is not None:
                self._pace.leave_queue(request)
            self.listen_in_turn(request, replaced)
        if self._waiting is not None:
            self._waiting = waiting + self._waiting

    def _not_joined(self, failure: Failure) -> None:
        self._waiting = None
        if isinstance(failure.value, Refused):
            self.end(failure.value)
        else:
            log.failure("A WebSocket of account {api_key} could not join", failure, api_key=self._api_key)
            self.close(b"", 1011)

    # The end.

    @property
    def api_key(self) -> str:
        return self._api_key

    def _violated(self, violation: Violation) -> None:
        if violation.code == TOO_BIG:
            self.end(
                Refused(
                    errors.BODY_TOO_LARGE,
                    f"A listen frame may have at most {MAX_LISTEN} bytes: send fewer identifiers.",
                )
            )
        elif self._closing:
            assert self.transport is not None
            self.transport.loseConnection()
        else:
            self.close(b"", violation.code)

    def farewell(self, code: int) -> bytes:
        return close_frame(code)

    def close(self, last: bytes, code: int) -> None:
        if not self._closing:
            self._closing = True
            self._hear_no_more()
            super().close(last, code)

    def hang_up(self) -> None:
        """Wait for the peer's close frame.

        To close the socket while bytes of the peer are unread would reset the connection, and the last frame would be lost.
        """

    def _closed(self, data: bytes) -> None:
        """Deal with the peer's close frame, which answers ours or must be answered."""
        assert self.transport is not None
        if self._closing:
            self.transport.loseConnection()
            return
        self._closing = True
        self._hear_no_more()
        preamble = self._take_preamble()
        self.context.membership.part(self)
        self.transport.unregisterProducer()
        self.transport.write(preamble + answer_to_close(data))
        self.transport.loseConnection()
        self.context.later(SILENCE, self._cut)

    def connectionLost(self, reason: Failure) -> None:
        self._hear_no_more()
        self._stop_waiting()
        super().connectionLost(reason)


def _is_control(message: Message | Violation) -> bool:
    return isinstance(message, Message) and message.opcode >= CLOSE


def _without_early_pings(found: Sequence[Message | Violation]) -> Iterator[Message | Violation]:
    """Leave out all pings but the last `MOST_PONGS`, because each pong is a write: 10,000 pings fit into one read."""
    pings = [message for message in found if isinstance(message, Message) and message.opcode == PING]
    early = set(map(id, pings[:-MOST_PONGS]))
    return (message for message in found if id(message) not in early)
