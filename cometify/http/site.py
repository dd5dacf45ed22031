"""The floor that everything over HTTP stands on: sites, the tree of their endpoints, and connections handed on."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.server import Site as WebSite

from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.exchange import NO_STORE, Exchange, Headers, refuse
from cometify.http.fast_channel import FastChannel
from cometify.http.fast_parser import FastParser
from cometify.http.idle_timeout import IdleTimeout
from cometify.http.twisted_request import MAX_BODY, Request
from cometify.runtime import sockets
from cometify.runtime.epoll_loop import WriteBatch

IDLE = 60
"""Seconds after which a connection on which nothing happens is closed."""

log = Logger()


class Site(WebSite):
    """No access log, for queries hold keys; no tracebacks for strangers. `write_batch`: where answers may be left."""

    protocol = FastChannel  # type: ignore[assignment]
    noisy = False
    displayTracebacks = False

    def __init__(self, resource: "Tree", reactor: Any, write_batch: WriteBatch | None = None) -> None:
        super().__init__(resource, requestFactory=Request, reactor=reactor, timeout=IDLE)
        self.idle = IdleTimeout(reactor.seconds, IDLE)
        self.fast_parser = FastParser(resource)
        self.write_batch = write_batch

    def startFactory(self) -> None:
        """Nothing to open."""

    def stopFactory(self) -> None:
        """Nothing to close."""

    def log(self, request: object) -> None:
        """Nothing is written."""


class Endpoint:
    """The code behind one path. `methods`: the HTTP methods that it takes. `max_body`: bytes that a body may have.

    `allows_fast_path`: plain requests may take the fast path. `upgrades`: requests ask for another protocol.
    """

    methods: tuple[bytes, ...] = (b"GET",)
    max_body = MAX_BODY
    allows_fast_path = False
    upgrades = False

    def is_plain(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers, by their names in lower case, may come the quick way."""
        return "upgrade" not in headers

    def headers(self, request: Exchange) -> Headers:
        """The headers that every answer has. Called when the request's head is there, before its body."""
        return NO_STORE

    def render(self, request: Exchange) -> None:
        """Answer, a refusal with its problem document."""
        try:
            if request.method not in self.methods:
                allowed = b", ".join(self.methods).decode()
                raise Refused(  # noqa: TRY301
                    errors.METHOD_NOT_ALLOWED, f"Use {allowed} here.", allow=allowed
                )
            self.serve(request)
        except Refused as refused:
            self.count_refusal(refused.code)
            self.refuse(request, refused)
        except Exception:  # noqa: BLE001 - whatever it is, the peer must have an answer
            self.failed(Failure(), request)

    def serve(self, request: Exchange) -> None:
        """Answer now or later. May raise `Refused`."""
        raise NotImplementedError

    def count_refusal(self, code: errors.Code) -> None:
        """A request is being refused: for endpoints whose refusals are counted."""

    def refuse(self, request: Exchange, refused: Refused) -> None:
        """Answer a refusal."""
        refuse(request, refused)

    def failed(self, failure: Failure, request: Exchange) -> None:
        """The errback of whatever answers later."""
        if isinstance(failure.value, Refused):
            self.count_refusal(failure.value.code)
            self.refuse(request, failure.value)
            return
        log.failure("A request could not be answered", failure)
        request.answer(500, b"text/plain", b"The server has failed; its log says why.\n")


class Tree(Resource):
    """A tree of endpoints."""

    isLeaf = True

    def find(self, path: tuple[str, ...]) -> Endpoint:
        """The endpoint at a path, by its decoded segments."""
        raise NotImplementedError

    def render(self, request: Request) -> Any:
        self.find(request.segments).render(request)
        return NOT_DONE_YET


def take_over(request: Exchange, protocol: Any, begin: Callable[[], None] | None = None) -> None:
    """Give the connection of a request to another protocol, and have it `begin`. There will be no other answer.

    What the peer has sent behind the request goes to whoever is the transport's protocol by then.
    """
    transport, early = request.release()
    sockets.set_protocol(transport, protocol)
    protocol.makeConnection(transport)
    if begin is not None:
        begin()
    if early:
        sockets.protocol_of(transport).dataReceived(early)
