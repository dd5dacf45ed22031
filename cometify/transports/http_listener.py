"""What all HTTP transports of listeners share: who asks, from where, for what; and headers that any page may read."""

from twisted.internet.defer import Deferred, succeed
from twisted.web.http import datetimeToString

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.encodings import Encoding
from cometify.core.errors import Refused
from cometify.core.listen_request import ListenRequest, listen_request_from_frame, listen_request_from_query
from cometify.core.listener import Backlog, Listener
from cometify.core.listener_state import State
from cometify.http.client_address import client_address
from cometify.http.exchange import Exchange, Headers
from cometify.http.response_head import response_head
from cometify.http.site import Endpoint, take_over
from cometify.transports.connection import Connection
from cometify.transports.context import Context

MAX_LISTEN = 16 * 1024
"""Bytes of a `listen` frame."""


def account_of(request: Exchange, context: Context) -> Account:
    """The account that the path names. Raises `Refused`: not_authorized, origin_not_allowed."""
    account = context.accounts.get(request.segments[0])
    if account is None:
        raise Refused(errors.NOT_AUTHORIZED, "There is no account of this API key: check the apiKey.")
    origin = request.header("origin")
    if origin is not None and account.origins is not None and origin not in account.origins:
        raise Refused(
            errors.ORIGIN_NOT_ALLOWED, f"Pages of {origin} may not listen: add the origin to the account's origins."
        )
    return account


_PASSED_ON: Headers = ((b"Cache-Control", b"no-store, no-transform"), (b"X-Accel-Buffering", b"no"))
"""For what stands between: keep nothing, change nothing, hold nothing back."""


def _readable(origin: bytes) -> Headers:
    """For the browser: pages of this origin may read the answer."""
    return ((b"Access-Control-Allow-Origin", origin), (b"Access-Control-Expose-Headers", b"Retry-After"))


_FOR_ANY_ORIGIN = _PASSED_ON + _readable(b"*")


class ListeningEndpoint(Endpoint):
    """A transport over HTTP. The answer can be read by the pages of any origin, or of those that the account names."""

    methods: tuple[bytes, ...] = (b"GET", b"POST")
    max_body = MAX_LISTEN
    allows_fast_path = True

    def __init__(self, context: Context) -> None:
        self.context = context

    def headers(self, request: Exchange) -> Headers:
        account = self.context.accounts.get(request.segments[0])
        if account is None or account.origins is None:
            return _FOR_ANY_ORIGIN
        origin = request.header("origin")
        varies: Headers = ((b"Vary", b"Origin"),)
        if origin is None or origin not in account.origins:
            return _PASSED_ON + varies
        return _PASSED_ON + varies + _readable(origin.encode())

    def serve(self, request: Exchange) -> None:
        account = account_of(request, self.context)
        self.listen(request, account, self.ask(request))

    def count_refusal(self, code: errors.Code) -> None:
        self.context.membership.refused[code.name] += 1

    def ask(self, request: Exchange) -> ListenRequest:
        """What is asked for: by the query, or by a listen frame in the body of a POST."""
        if request.method == b"GET":
            return listen_request_from_query(request.query())
        body = request.body()
        return listen_request_from_frame(body) if body else listen_request_from_query(request.query())

    def listen(self, request: Exchange, account: Account, ask: ListenRequest) -> None:
        """Let the request have what it asks for."""
        raise NotImplementedError

    def join(
        self, request: Exchange, listener: Listener, account: Account, ask: ListenRequest, *, first: bool
    ) -> "Deferred[None]":
        """Join, from where the request comes."""
        address = client_address(request, self.context.trusted)
        return self.context.membership.join(listener, account, address, ask, first=first) or succeed(None)


class OpenEndpoint(ListeningEndpoint):
    """An answer that stays open: the head is written by the listener that takes the connection over."""

    content_type: bytes

    def listener(self, chunked: bool) -> Connection:
        """A new listener of this transport."""
        raise NotImplementedError

    def listen(self, request: Exchange, account: Account, ask: ListenRequest) -> None:
        listener = self.listener(request.is_http_1_1)
        listener.backlog = Backlog(preamble=self._head(request, listener.encoding))
        request.when_gone(lambda: self.context.membership.part(listener))
        joined = self.join(request, listener, account, ask, first=True)
        joined.addCallback(self._take_over, request, listener)
        joined.addErrback(self.failed, request)

    def _take_over(self, _none: None, request: Exchange, listener: Connection) -> None:
        if listener.state is not State.GONE:
            take_over(request, listener)
        elif not request.gone:  # it was ended while it joined, when nothing could be written to it yet
            account_of(request, self.context)
            if self.context.membership.draining:
                raise Refused(errors.DRAINING, "The server is going down: come back in a moment.")
            raise Refused(errors.REPLACED, "The same listener id has connected again meanwhile.")

    def _head(self, request: Exchange, encoding: Encoding) -> bytes:
        chunked = ((b"Transfer-Encoding", b"chunked"),) if encoding.chunked else ()
        headers = (
            (b"Date", datetimeToString()),
            (b"Content-Type", self.content_type),
            (b"Connection", b"close"),
            *request.fixed,
            *chunked,
        )
        return response_head(200, headers)
