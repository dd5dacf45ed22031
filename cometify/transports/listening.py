"""What all HTTP transports of listeners share: who asks, from where, for what; and headers that any page may read."""

from datetime import UTC, datetime

from twisted.internet.defer import Deferred

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.census import address_of
from cometify.core.errors import Refused
from cometify.core.frames import Form
from cometify.core.group import Ask, ask_from_frame, ask_from_query
from cometify.core.listener import Arrears, Listener, State
from cometify.transports.connection import Connection
from cometify.transports.http import Endpoint, Request, peer_address, take_over
from cometify.transports.node import Node

MAX_LISTEN = 16 * 1024
"""Bytes of a `listen` frame."""


def account_of(request: Request, node: Node) -> Account:
    """The account that the path names. Raises `Refused`: not_authorized, origin_not_allowed."""
    account = node.accounts.get(request.postpath[0].decode("utf-8", "replace"))
    if account is None:
        raise Refused(errors.NOT_AUTHORIZED, "There is no account of this API key: check the apiKey.")
    origin = request.header("Origin")
    if origin is not None and account.origins is not None and origin not in account.origins:
        raise Refused(
            errors.ORIGIN_NOT_ALLOWED, f"Pages of {origin} may not listen: add the origin to the account's origins."
        )
    return account


class ListeningEndpoint(Endpoint):
    """A transport over HTTP. The answer can be read by the pages of any origin, or of those that the account names."""

    methods: tuple[bytes, ...] = (b"GET", b"POST")
    max_body = MAX_LISTEN

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node

    def prepare(self, request: Request) -> None:
        self._allow_origin(request)
        request.responseHeaders.setRawHeaders(b"Cache-Control", [b"no-store, no-transform"])
        request.responseHeaders.setRawHeaders(b"X-Accel-Buffering", [b"no"])

    def _allow_origin(self, request: Request) -> None:
        account = self.node.accounts.get(request.postpath[0].decode("utf-8", "replace"))
        allowed = b"*"
        if account is not None and account.origins is not None:
            request.responseHeaders.setRawHeaders(b"Vary", [b"Origin"])
            origin = request.header("Origin")
            if origin not in account.origins:
                return
            allowed = origin.encode()
        request.responseHeaders.setRawHeaders(b"Access-Control-Allow-Origin", [allowed])
        request.responseHeaders.setRawHeaders(b"Access-Control-Expose-Headers", [b"Retry-After"])

    def serve(self, request: Request) -> None:
        account = account_of(request, self.node)
        self.listen(request, account, self.ask(request))

    def count_refusal(self, code: errors.Code) -> None:
        self.node.joining.refused[code.name] += 1

    def ask(self, request: Request) -> Ask:
        """What is asked for: by the query, or by a listen frame in the body of a POST."""
        if request.method == b"GET":
            return ask_from_query(request.query())
        body = request.body()
        return ask_from_frame(body) if body else ask_from_query(request.query())

    def listen(self, request: Request, account: Account, ask: Ask) -> None:
        """Let the request have what it asks for."""
        raise NotImplementedError

    def join(
        self, request: Request, listener: Listener, account: Account, ask: Ask, *, first: bool
    ) -> "Deferred[None]":
        """Join, with the request watched for its peer's going."""
        address = address_of(peer_address(request, self.node.trusted))
        request.notifyFinish().addErrback(lambda _gone: self.gone(listener))
        return self.node.joining.join(listener, account, address, ask, first=first)

    def gone(self, listener: Listener) -> None:
        """The peer is gone while twisted.web has the connection."""
        self.node.joining.part(listener)


class OpenEndpoint(ListeningEndpoint):
    """An answer that stays open: the head is written by the listener that takes the connection over."""

    content_type: bytes

    def listener(self, chunked: bool) -> Connection:
        """A new listener of this transport."""
        raise NotImplementedError

    def listen(self, request: Request, account: Account, ask: Ask) -> None:
        listener = self.listener(request.clientproto == b"HTTP/1.1")
        listener.arrears = Arrears(greeting=self._head(request, listener.form))
        joined = self.join(request, listener, account, ask, first=True)
        joined.addCallback(self._take_over, request, listener)
        joined.addErrback(self.failed, request)

    @staticmethod
    def _take_over(_none: None, request: Request, listener: Connection) -> None:
        if listener.state is not State.GONE:
            take_over(request, listener)
        elif not request.gone:
            raise Refused(errors.REPLACED, "The same listener id has connected again meanwhile.")

    def _head(self, request: Request, form: Form) -> bytes:
        headers = request.responseHeaders.copy()  # the request keeps its own for a refusal
        headers.setRawHeaders(b"Content-Type", [self.content_type])
        headers.setRawHeaders(b"Date", [datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").encode()])
        headers.setRawHeaders(b"Connection", [b"close"])
        headers.removeHeader(b"Server")
        if form.chunked:
            headers.setRawHeaders(b"Transfer-Encoding", [b"chunked"])
        lines = [b"%b: %b\r\n" % (name, value) for name, values in headers.getAllRawHeaders() for value in values]
        return b"HTTP/1.1 200 OK\r\n" + b"".join(lines) + b"\r\n"
