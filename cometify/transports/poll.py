"""GET or POST /{apiKey}/poll: a long poll is a listener that ends after its first write."""

import re
from collections.abc import Sequence
from functools import partial

from twisted.python.failure import Failure

from cometify.core.account import Account
from cometify.core.encodings import EDGE_POLL, POLL
from cometify.core.errors import Refused
from cometify.core.frames import heartbeat_frame, reconnect_frame
from cometify.core.listen_request import ListenRequest
from cometify.core.listener import Listener
from cometify.core.listener_state import State
from cometify.http.exchange import Exchange, refuse
from cometify.membership.poll_resume import ResumeTicket
from cometify.transports import edge
from cometify.transports.context import Context
from cometify.transports.http_listener import FOR_ANY_ORIGIN, ListeningEndpoint


class PollListener(Listener):
    """Waits with its request until something can be answered.

    `is_expected`: the same request is expected again on this connection, and will be answered by this listener again.

    The request knows its listener, because it calls `gone`. A listener that is not expected again therefore drops its
    request when that is answered or refused: the two would be a reference cycle otherwise, and Python frees a cycle only
    in a collection of all objects.
    """

    __slots__ = ("_context", "_preface", "_request", "is_expected")
    encoding = POLL

    def __init__(self, context: Context, request: Exchange) -> None:
        super().__init__()
        self._context = context
        self._request: Exchange | None = request
        self._preface = b""
        self.is_expected = False

    def offer(self, data: bytes) -> int:
        self._context.membership.part(self, comes_again=True)
        request = self._request
        assert request is not None  # it is dropped by the first answer only if there is no second one
        if not self.is_expected:
            self._context.heartbeats.discard(self)
            self._request = None
        request.answer(200, b"application/x-ndjson", self._preface + data)
        return len(data)

    def preface(self, data: bytes) -> None:
        self._preface = data

    @property
    def is_warned(self) -> bool:
        """True if each answer begins with a warning about the request."""
        return bool(self._preface)

    def beat(self, heartbeat: bytes) -> None:
        self.offer(heartbeat)

    def end(self, refused: Refused) -> None:
        if self.state is not State.GONE:
            self._context.membership.count_end(self, refused)
            self._context.membership.part(self)
            request = self._request
            assert request is not None
            self.drop_request()
            refuse(request, refused)

    def drain(self, after: int) -> None:
        self.offer(self.encoding.encode(reconnect_frame(after), None))

    def gone(self) -> None:
        """Leave, because the peer has closed the connection. It may come again on another one.

        Does no harm if it is called after the answer.
        """
        self._context.heartbeats.discard(self)
        if self.state is not State.GONE:
            self._context.membership.part(self, comes_again=True)

    def drop_request(self) -> None:
        """Let go of the request, unless it is expected again. It has its answer, or gets it from someone else."""
        if not self.is_expected:
            self._request = None


class EdgePollListener(PollListener):
    """Waits with a poll whose answer a shared cache may give to others. See `edge`."""

    __slots__ = ("_is_sent_away", "_listen_request", "_resumes")
    encoding = EDGE_POLL

    def __init__(self, context: Context, request: Exchange, listen_request: ListenRequest, *, resumes: bool) -> None:
        super().__init__(context, request)
        self._listen_request = listen_request
        self._resumes = resumes
        self._is_sent_away = False

    def offer(self, data: bytes) -> int:
        request = self._request
        assert request is not None
        account = self._context.accounts.get(request.segments[0])
        if (
            account is not None
            and not self._is_sent_away
            and edge.is_for_everybody(account, request, self._listen_request)
        ):
            request.fixed = edge.headers(resumes=self._resumes) + FOR_ANY_ORIGIN
        return super().offer(data)

    def beat(self, heartbeat: bytes) -> None:
        """Answer with a heartbeat that moves the position, because the same URL would be answered from the cache at once.

        Waits for the next heartbeat if nothing newer can be told. With several nodes the watermark is up to a second old.
        """
        assert self.view is not None
        self._beat_above(self.view.told_position(self.view.head)) or self._beat_above(self.view.watermark())

    def _beat_above(self, position: int) -> bool:
        """Answer with a heartbeat if its position is above the one that was asked for. Returns whether it is."""
        is_above = position > self.reached
        if is_above:
            self.offer(self.encoding.encode(heartbeat_frame(position), None))
        return is_above

    def drain(self, after: int) -> None:
        """Answer with a heartbeat, because one delay for a whole audience would bring all of it back at once.

        The cache asks another server, or this one once it is back. While there is none, each client has a delay of its own.
        """
        view = self.view
        is_at_head = view is not None and self.state is State.LIVE and self.cursor >= view.head and not view.is_late
        if view is None or not is_at_head or not self._beat_above(view.watermark()):
            self._is_sent_away = True
            super().drain(after)


# The places where the digits of a position stand. These bytes can be nowhere else in a query, nor in JSON without a
# backslash.
_IN_QUERY = re.compile(rb"(?:(?<=^position=)|(?<=&position=))([0-9]{1,16})(?![^&])")
_IN_JSON = re.compile(rb'(?<="position":)(0|[1-9][0-9]{0,15})(?=[,}])')


def _split(request: Exchange) -> list[bytes]:
    """The body or the query, split so that the digits of its positions stand at the odd places."""
    query, body = request.asked()
    return _IN_JSON.split(body) if body else _IN_QUERY.split(query)


class PollEndpoint(ListeningEndpoint):
    """Answers a poll at once if something is owed to it, and lets it wait otherwise.

    A poll without a position joins, which is told by a `ready` frame, so it never waits.
    """

    def listen(self, request: Exchange, account: Account, listen_request: ListenRequest) -> None:
        resumes = all(group.position is not None for group in listen_request.groups)
        is_of_edge = account.edge and edge.is_for_everybody(account, request, listen_request)
        if is_of_edge:
            listener: PollListener = EdgePollListener(self.context, request, listen_request, resumes=resumes)
        else:
            listener = PollListener(self.context, request)
        request.when_gone(listener.gone)
        joined = self.join(request, listener, account, listen_request, first=not resumes)
        if resumes and not is_of_edge:
            joined.addCallback(self._keep_ticket, request, listen_request, listener)
        joined.addErrback(self._not_joined, request, listener)

    def _not_joined(self, failure: Failure, request: Exchange, listener: PollListener) -> None:
        if listener.state is not State.GONE:  # a listener that was ended while it joined is answered already
            listener.drop_request()
            self.failed(failure, request)

    def _keep_ticket(
        self, _none: None, request: Exchange, listen_request: ListenRequest, listener: PollListener
    ) -> None:
        """Expect the same request again with other positions, if all of them were found in its bytes."""
        parts = _split(request)
        ticket = self.context.membership.poll_resumer.ticket(listener)
        found_all = list(map(int, parts[1::2])) == [group.position for group in listen_request.groups]
        if ticket is not None and found_all and not listener.is_warned and request.asked()[1].find(b"\\") < 0:
            listener.is_expected = request.expect_again(parts, partial(self._resume, ticket, listener, request))

    def _resume(
        self, ticket: ResumeTicket, listener: PollListener, request: Exchange, positions: Sequence[int]
    ) -> bool:
        """Serve a poll that has come again with other positions. Returns False if it must join.

        Nearly all polls are served here: those of accounts that are unchanged, at the head or not alone behind it.
        """
        context = self.context
        if context.membership.draining:
            context.membership.send_one_away(listener)
            return True
        if context.accounts.get(ticket.account.api_key) is not ticket.account:
            return False
        try:
            return context.membership.poll_resumer.resume(listener, ticket, positions)
        except Refused as refused:
            self.count_refusal(refused, request)
            self.refuse(request, refused)
            return True
