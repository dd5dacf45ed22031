"""GET or POST /{apiKey}/poll: a long poll is a listener that ends after its first write."""

import re
from collections.abc import Sequence
from functools import partial

from twisted.python.failure import Failure

from cometify.core.account import Account
from cometify.core.encodings import POLL
from cometify.core.errors import Refused
from cometify.core.frames import reconnect_frame
from cometify.core.listen_request import ListenRequest
from cometify.core.listener import Listener
from cometify.core.listener_state import State
from cometify.http.exchange import Exchange, refuse
from cometify.membership.poll_resume import ResumeTicket
from cometify.transports.context import Context
from cometify.transports.http_listener import ListeningEndpoint


def _nobody_minds() -> None:
    """Instead of a listener's `gone` when it has its answer: the request would keep the listener, which keeps that."""


class PollListener(Listener):
    """Waits with its request until something can be answered."""

    __slots__ = ("_context", "_preface", "_request", "is_expected")
    encoding = POLL

    def __init__(self, context: Context, request: Exchange) -> None:
        super().__init__()
        self._context = context
        self._request = request
        self._preface = b""
        self.is_expected = False

    def offer(self, data: bytes) -> int:
        self._context.membership.part(self, comes_again=True)
        if not self.is_expected:
            self._context.heartbeats.discard(self)
            self._request.when_gone(_nobody_minds)
        self._request.answer(200, b"application/x-ndjson", self._preface + data)
        return len(data)

    def preface(self, data: bytes) -> None:
        self._preface = data

    @property
    def is_warned(self) -> bool:
        """Whether something is wrong with what it asked for, which it is to be told each time."""
        return bool(self._preface)

    def wake(self) -> None:
        self.send = self.offer

    def beat(self, heartbeat: bytes) -> None:
        self.offer(heartbeat)

    def end(self, refused: Refused) -> None:
        if self.state is not State.GONE:
            self._context.membership.count_end(self, refused.code)
            self._context.membership.part(self)
            if not self.is_expected:
                self._request.when_gone(_nobody_minds)
            refuse(self._request, refused)

    def drain(self, after: int) -> None:
        self.offer(self.encoding.encode(reconnect_frame(after), None))

    def gone(self) -> None:
        """The peer is gone. It may come again on another connection."""
        self._context.heartbeats.discard(self)
        if self.state is not State.GONE:
            self._context.membership.part(self, comes_again=True)


# Where the digits of a position stand: nowhere else can these bytes be in a query, or in JSON without a backslash.
_IN_QUERY = re.compile(rb"(?:(?<=^position=)|(?<=&position=))([0-9]{1,16})(?![^&])")
_IN_JSON = re.compile(rb'(?<="position":)(0|[1-9][0-9]{0,15})(?=[,}])')


def _split(request: Exchange) -> list[bytes]:
    """What is asked for, with the digits of its positions at the odd places."""
    query, body = request.asked()
    return _IN_JSON.split(body) if body else _IN_QUERY.split(query)


class PollEndpoint(ListeningEndpoint):
    """Who joins or is behind is answered at once, who resumes at the head waits."""

    def _wait_on(
        self, ticket: ResumeTicket, listener: PollListener, request: Exchange, positions: Sequence[int]
    ) -> bool:
        """Whether a poll that has come again with other positions is dealt with, as it is most of the time: the account
        must be what it was, and the listener, which has its answer, at the head or with others.
        """
        context = self.context
        if context.membership.draining or context.accounts.get(ticket.account.api_key) is not ticket.account:
            return False
        try:
            return context.membership.poll_resumer.wait_on(listener, ticket, positions)
        except Refused as refused:
            self.count_refusal(refused.code)
            self.refuse(request, refused)
            return True

    def listen(self, request: Exchange, account: Account, ask: ListenRequest) -> None:
        resumes = all(group.position is not None for group in ask.groups)
        listener = PollListener(self.context, request)
        joined = self.join(request, listener, account, ask, first=not resumes)
        request.when_gone(listener.gone)
        if resumes:
            joined.addCallback(self._keep_ticket, request, ask, listener)
        joined.addErrback(self._not_joined, request, listener)

    def _not_joined(self, failure: Failure, request: Exchange, listener: PollListener) -> None:
        if listener.state is not State.GONE:  # else it was ended while it joined, and is answered
            self.failed(failure, request)

    def _keep_ticket(self, _none: None, request: Exchange, ask: ListenRequest, listener: PollListener) -> None:
        parts = _split(request)
        ticket = self.context.membership.poll_resumer.ticket(listener)
        is_read_whole = list(map(int, parts[1::2])) == [group.position for group in ask.groups]
        if ticket is not None and is_read_whole and not listener.is_warned and request.asked()[1].find(b"\\") < 0:
            listener.is_expected = request.expect_again(parts, partial(self._wait_on, ticket, listener, request))
