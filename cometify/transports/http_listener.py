"""The parts that all HTTP transports of listeners share: account, address and request of a listener, and CORS headers."""

from twisted.internet.defer import Deferred, succeed
from twisted.web.http import datetimeToString

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.backlog import Backlog
from cometify.core.encodings import Encoding
from cometify.core.errors import Refused
from cometify.core.listen_request import ListenRequest, listen_request_from_frame, listen_request_from_query
from cometify.core.listener import Listener
from cometify.core.listener_state import State
from cometify.http.client_address import client_address
from cometify.http.exchange import Exchange, Headers
from cometify.http.response_head import response_head
from cometify.http.site import Endpoint, take_over
from cometify.membership import refusals
from cometify.transports.connection import Connection
from cometify.transports.context import Context

MAX_LISTEN = 16 * 1024
"""The most bytes of a `listen` frame."""


def account_of(request: Exchange, context: Context) -> Account:
    """Get the account that the path names. Raises `Refused`: not_authorized, origin_not_allowed, account_suspended."""
    account = context.accounts.find(request.segments[0])
    if account is None:
        raise Refused(errors.NOT_AUTHORIZED, "There is no account of this API key: check the apiKey.")
    origin = request.header("origin")
    if origin is not None and account.origins is not None and origin not in account.origins:
        raise Refused(
            errors.ORIGIN_NOT_ALLOWED, f"Pages of {origin} may not listen: add the origin to the account's origins."
        )
    return account


_UNBUFFERED = (b"X-Accel-Buffering", b"no")
_PASSED_ON: Headers = ((b"Cache-Control", b"no-store, no-transform"), _UNBUFFERED)
"""Headers for proxies: do not cache, do not compress (no-transform), do not buffer (nginx)."""
_PAST_THE_EDGE: Headers = ((b"Cache-Control", b"private, no-store, no-transform"), _UNBUFFERED)
"""The same for an account whose polls a shared cache may answer, in an answer that it must not keep. `private` is for caches
that are told to overlook no-store."""


def _readable(origin: bytes) -> Headers:
    """CORS headers that let pages of this origin read the answer (WHATWG Fetch)."""
    return ((b"Access-Control-Allow-Origin", origin), (b"Access-Control-Expose-Headers", b"Retry-After"))


FOR_ANY_ORIGIN = _readable(b"*")
_PASSED_ON_TO_ANY_ORIGIN = _PASSED_ON + FOR_ANY_ORIGIN
_PAST_THE_EDGE_TO_ANY_ORIGIN = _PAST_THE_EDGE + FOR_ANY_ORIGIN

_PREFLIGHT: Headers = (
    (b"Access-Control-Allow-Methods", b"GET, POST"),
    (b"Access-Control-Allow-Headers", b"*"),
    (b"Access-Control-Max-Age", b"7200"),
)
"""The answer to a preflight (WHATWG Fetch). `*` stands for all headers but Authorization, which nothing here needs."""


class ListeningEndpoint(Endpoint):
    """A transport over HTTP. Pages of all origins can read the answer, or pages of those that the account names."""

    methods: tuple[bytes, ...] = (b"GET", b"POST")
    max_body = MAX_LISTEN
    allows_fast_path = True

    def __init__(self, context: Context) -> None:
        self.context = context

    def headers(self, request: Exchange) -> Headers:
        account = self.context.accounts.get(request.segments[0])
        if account is None or account.origins is None:
            return _PASSED_ON_TO_ANY_ORIGIN if account is None or not account.edge else _PAST_THE_EDGE_TO_ANY_ORIGIN
        origin = request.header("origin")
        fixed = (_PAST_THE_EDGE if account.edge else _PASSED_ON) + ((b"Vary", b"Origin"),)
        return fixed if origin is None or origin not in account.origins else fixed + _readable(origin.encode())

    def render(self, request: Exchange) -> None:
        """Answer a browser's preflight too. Our own client needs none, but htmx and Datastar send headers of their own."""
        if request.method == b"OPTIONS" and request.header("access-control-request-method") is not None:
            request.answer(200, b"text/plain", b"", _PREFLIGHT)
        else:
            super().render(request)

    def serve(self, request: Exchange) -> None:
        account = account_of(request, self.context)
        self.listen(request, account, self.listen_request(request, account))

    def count_refusal(self, refused: Refused, request: Exchange) -> None:
        self.context.membership.count_refusal(refused, request.segments[0])

    def listen_request(self, request: Exchange, account: Account) -> ListenRequest:
        """Read the request from the query, or from a `listen` frame in the body of a POST. Raises `Refused`."""
        spelling = account.spelling
        body = b"" if request.method == b"GET" else request.body()
        if body:
            return listen_request_from_frame(body, spelling)
        return listen_request_from_query(request.query(), spelling=spelling)

    def listen(self, request: Exchange, account: Account, listen_request: ListenRequest) -> None:
        """Let a new listener join. It answers the request, now or later."""
        raise NotImplementedError

    def join(
        self, request: Exchange, listener: Listener, account: Account, listen_request: ListenRequest, *, first: bool
    ) -> "Deferred[None]":
        """Let a listener join from the client address of its request. See `Membership.join`."""
        address = client_address(request, self.context.trusted, self.context.untrusted)
        return self.context.membership.join(listener, account, address, listen_request, first=first) or succeed(None)


class OpenEndpoint(ListeningEndpoint):
    """An answer that stays open. The listener takes the connection over, and writes the head with its first frames."""

    content_type: bytes

    def listener(self, request: Exchange) -> Connection:
        """Make a listener of this transport. With HTTP/1.1 its answer is written in chunks."""
        raise NotImplementedError

    def listen(self, request: Exchange, account: Account, listen_request: ListenRequest) -> None:
        listener = self.listener(request)
        listener.backlog = Backlog(preamble=self._head(request, listener.encoding))
        request.when_gone(lambda: self.context.membership.part(listener))
        joined = self.join(request, listener, account, listen_request, first=True)
        joined.addCallback(self._take_over, request, listener)
        joined.addErrback(self.failed, request)

    def _take_over(self, _none: None, request: Exchange, listener: Connection) -> None:
        if listener.state is not State.GONE:
            take_over(request, listener)
        elif not request.gone:
            # The listener was ended while it joined, when it had no connection yet on which to tell why.
            account_of(request, self.context)
            if self.context.membership.draining:
                raise refusals.draining()
            raise refusals.replaced()

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
