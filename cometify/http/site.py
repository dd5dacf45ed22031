"""Sites, the tree of their endpoints, and connections that are given to another protocol."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import cast

from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.server import Site as WebSite

from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.exchange import NO_STORE, Exchange, Headers, refuse
from cometify.http.fast_channel import FastChannel
from cometify.http.fast_parser import FastParser
from cometify.http.idle_timeout import IdleTimeout
from cometify.http.long_bodies import LongBodies
from cometify.http.shared import Shared
from cometify.http.strict_channel import StrictChannel
from cometify.http.turn_share import TurnShare
from cometify.http.twisted_request import MAX_BODY, Request
from cometify.runtime import sockets
from cometify.runtime.epoll_loop import WriteBatch
from cometify.runtime.reactor import Clock
from cometify.runtime.transport import StreamProtocol

IDLE = 60
"""Seconds after which a connection on which nothing happens is closed."""

log = Logger()


class Site(WebSite):
    """Makes the connections of a tree. Keeps no access log because queries hold keys, and shows nobody a traceback.

    `write_batch`: where answers may be left to be sent together, None if each must be sent at once. `bodies`: those of another
    site, with which the bodies of this one count together. `most_connections`: connections above which a new one takes the
    place of the one that is idle the longest. None: there is no such bound.
    """

    protocol = StrictChannel  # type: ignore[assignment]
    noisy = False
    displayTracebacks = False

    def __init__(
        self,
        resource: "Tree",
        reactor: Clock,
        write_batch: WriteBatch | None = None,
        bodies: LongBodies | None = None,
        most_connections: int | None = None,
    ) -> None:
        # The stock channels have no timeout of their own: `FastChannel` watches the connection, whoever reads it.
        super().__init__(resource, requestFactory=Request, reactor=reactor, timeout=None)
        self.idle = IdleTimeout(reactor.seconds, IDLE)
        self.bodies = bodies or LongBodies(reactor.callLater)
        self._most_connections = most_connections
        self._shared = Shared(
            resource,
            FastParser(resource),
            self.idle,
            reactor.callLater,
            self._new_channel,
            write_batch,
            TurnShare(reactor.callLater),
            self.bodies,
        )

    def _new_channel(self) -> HTTPChannel:
        channel: HTTPChannel = super().buildProtocol(None)
        return channel

    def buildProtocol(self, addr: IAddress | None) -> FastChannel:  # type: ignore[override]
        """The protocol of a new connection."""
        if self._most_connections is not None:
            self._make_room(self._most_connections)
        return FastChannel(self._shared)

    def _make_room(self, most: int) -> None:
        """Close the connection that is idle the longest if there are so many. One whose request is answered is not idle."""
        connections = [connection for connection in self.idle_connections() if connection.is_open]
        if len(connections) >= most:
            min(connections, key=attrgetter("idle_rank")).make_way()

    def end_connections(self) -> None:
        """Close each connection behind its next answer, because the server drains. The peer asks another server then."""
        self._shared.ends = True

    def idle_connections(self) -> list[FastChannel]:
        """The connections that may be idle: see `close_if_idle`."""
        return cast("list[FastChannel]", self.idle.watched())

    def startFactory(self) -> None:
        """Open nothing: there is no access log."""

    def stopFactory(self) -> None:
        """Close nothing."""

    def log(self, request: object) -> None:
        """Write nothing."""


class Endpoint:
    """The code behind one path.

    `methods`: the HTTP methods that it takes. `max_body`: bytes that a body may have. `allows_fast_path`: plain requests
    may take the fast path. `upgrades`: its requests ask for another protocol.
    """

    methods: tuple[bytes, ...] = (b"GET",)
    max_body = MAX_BODY
    allows_fast_path = False
    upgrades = False

    def is_plain(self, headers: Mapping[str, str]) -> bool:
        """True if a request with these headers, by their names in lower case, may take the fast path."""
        return "upgrade" not in headers

    def body_limit(self, request: Exchange) -> int:
        """The bytes that the body of this request may have. Called once its head is read, unless the request is plain."""
        return self.max_body

    def hashes_body(self, request: Exchange) -> bool:
        """Return whether to hash the body while it comes, because it may be long. Called with `body_limit`."""
        return False

    def too_large(self, request: Exchange) -> Refused:
        """Make the refusal of a request whose body is longer than `body_limit`."""
        return Refused(errors.BODY_TOO_LARGE, f"The body is longer than {self.max_body} bytes, which is the most here.")

    def headers(self, request: Exchange) -> Headers:
        """The headers that every answer has. Called once the request's head is read, before its body is."""
        return NO_STORE

    def render(self, request: Exchange) -> None:
        """Answer. A refusal is answered with its problem document."""
        try:
            self.check_method(request)
            self.serve(request)
        except Refused as refused:
            self.count_refusal(refused, request)
            self.refuse(request, refused)
        except Exception:  # noqa: BLE001 - the peer must have an answer, whatever was raised
            self.failed(Failure(), request)

    def check_method(self, request: Exchange) -> None:
        """Raise `Refused` for a method that this endpoint does not take."""
        if request.method not in self.methods:
            allowed = b", ".join(self.methods).decode()
            raise Refused(errors.METHOD_NOT_ALLOWED, self.wrong_method(request.method, allowed), allow=allowed)

    def wrong_method(self, _method: bytes, allowed: str) -> str:
        """The detail of the refusal of a method. `allowed`: the methods of this endpoint."""
        return f"Use {allowed} here."

    def serve(self, request: Exchange) -> None:
        """Answer now or later. May raise `Refused`."""
        raise NotImplementedError

    def count_refusal(self, refused: Refused, request: Exchange) -> None:
        """Count a request that is being refused. Most endpoints do not."""

    def refuse(self, request: Exchange, refused: Refused) -> None:
        """Answer a refusal."""
        refuse(request, refused)

    def failed(self, failure: Failure, request: Exchange) -> None:
        """Answer a failure. To be used as the errback of whatever answers later."""
        if isinstance(failure.value, Refused):
            self.count_refusal(failure.value, request)
            self.refuse(request, failure.value)
            return
        log.failure("A request to {path} could not be answered", failure, path="/".join(request.segments[1:]))
        request.answer(500, b"text/plain", b"The server has failed; its log says why.\n")


class Tree(Resource):
    """A tree of endpoints. `has_docs`: see `Exchange`."""

    isLeaf = True
    has_docs = False

    def find(self, path: tuple[str, ...], /) -> Endpoint:
        """The endpoint at a path, by its decoded segments."""
        raise NotImplementedError

    def render(self, request: Request) -> int:
        """Answer a request that twisted.web has read."""
        self.find(request.segments).render(request)
        return NOT_DONE_YET


def take_over(request: Exchange, protocol: StreamProtocol, begin: Callable[[], None] | None = None) -> None:
    """Give the connection of a request to another protocol, and have that one `begin`. There is no other answer.

    The bytes that the peer has sent behind the request go to the protocol that the transport has after `begin`, because
    that may have given the connection on.
    """
    transport, early = request.release()
    sockets.set_protocol(transport, protocol)
    protocol.makeConnection(transport)
    if begin is not None:
        begin()
    if early:
        sockets.protocol_of(transport).dataReceived(early)
