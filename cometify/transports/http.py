"""The floor that everything over HTTP stands on: requests as twisted.web reads them, mended where the contract needs it,
and refusals as problem documents.
"""

import json
from io import BytesIO
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, datetimeToString
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.server import Request as WebRequest
from twisted.web.server import Site as WebSite

from cometify.core import errors
from cometify.core.errors import Refused

MAX_BODY = 512 * 1024
"""Bytes of a request's body."""
DISCARDED = 8 * 2**20
"""Bytes of a body that is too large which are read away, so that its sender gets to read the answer."""
IDLE = 60
"""Seconds after which a connection on which nothing happens is closed."""

log = Logger()

Networks = tuple[IPv4Network | IPv6Network, ...]


class Channel(HTTPChannel):
    """Twisted's own, made without the wrapper that tells HTTP/2 apart."""


class Request(WebRequest):
    """A request whose body is bounded and left unparsed, and whose target may be in absolute form.

    twisted.web would parse forms leniently; the contract refuses what it passes over.
    """

    content: BytesIO | None
    postpath: list[bytes]
    channel: Any
    gone = False
    _refused = False
    _discarded = 0
    _limit = MAX_BODY

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parsePOSTFormSubmission = False

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()
        path = _origin_form(self.channel._path).partition(b"?")[0]
        self.postpath = [unquote_to_bytes(segment) for segment in path[1:].split(b"/")]
        self._limit = self.channel.site.resource.prepare(self)
        if length is not None and length > self._limit:
            self._refuse_body()

    def handleContentChunk(self, data: bytes) -> None:
        if self._refused:
            self._discarded += len(data)
            if self._discarded > DISCARDED:
                self.channel.loseConnection()
            return
        content = self._content()
        content.write(data)
        if content.tell() > self._limit:
            self._refuse_body()

    def _refuse_body(self) -> None:
        """Answer before the body is read. twisted.web has no request to answer yet, so the bytes are written here."""
        self._refused = True
        self.content = BytesIO()
        self.requestHeaders.removeHeader(b"Expect")
        self.channel.site.resource.find(tuple(self.postpath)).count_refusal(errors.BODY_TOO_LARGE)
        body = problem_document(
            Refused(errors.BODY_TOO_LARGE, f"The body is longer than {self._limit} bytes, which is the most here.")
        )
        headers = self.responseHeaders
        headers.setRawHeaders(b"Date", [datetimeToString()])
        headers.setRawHeaders(b"Content-Type", [b"application/problem+json"])
        headers.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
        headers.setRawHeaders(b"Connection", [b"close"])
        if not headers.hasHeader(b"Cache-Control"):
            headers.setRawHeaders(b"Cache-Control", [b"no-store"])
        self.channel.writeHeaders(b"HTTP/1.1", b"413", b"Content Too Large", headers)
        self.channel.write(body)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if self._refused:
            self.channel.loseConnection()
            return
        super().requestReceived(command, _origin_form(path), version)

    def connectionLost(self, reason: Failure) -> None:
        self.gone = True
        super().connectionLost(reason)

    def body(self) -> bytes:
        """The whole body."""
        return self._content().getvalue()

    def _content(self) -> BytesIO:
        assert self.content is not None  # gotLength comes first
        return self.content

    def query(self) -> dict[str, list[str]]:
        """The parameters of the query, decoded. Raises `Refused` for what is no UTF-8."""
        try:
            return {name.decode(): [value.decode() for value in values] for name, values in self.args.items()}
        except UnicodeDecodeError:
            raise Refused(errors.INVALID_PARAMETER, "The query is not valid UTF-8.") from None

    def header(self, name: str) -> str | None:
        """A header's only or last value."""
        values = self.requestHeaders.getRawHeaders(name)
        return values[-1] if values else None

    def answer(self, status: int, content_type: bytes, body: bytes) -> None:
        """Write a whole answer, if anybody is there to read it."""
        if self.gone:
            return
        self.setResponseCode(status)
        self.responseHeaders.setRawHeaders(b"Content-Type", [content_type])
        self.responseHeaders.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
        if not self.responseHeaders.hasHeader(b"Cache-Control"):
            self.responseHeaders.setRawHeaders(b"Cache-Control", [b"no-store"])
        self.responseHeaders.removeHeader(b"Server")
        self.write(body)
        self.finish()

    def refuse(self, refused: Refused) -> None:
        """Answer with a problem document (RFC 9457)."""
        if refused.retry is not None:
            self.responseHeaders.setRawHeaders(b"Retry-After", [b"%d" % refused.retry])
        if refused.allow is not None:
            self.responseHeaders.setRawHeaders(b"Allow", [refused.allow.encode()])
        if refused.code is errors.UPGRADE_REQUIRED:
            self.responseHeaders.setRawHeaders(b"Upgrade", [b"websocket"])
        self.answer(refused.code.status, b"application/problem+json", problem_document(refused))


def _origin_form(target: bytes) -> bytes:
    """`POST http://host/KEY/push/chat` means what `POST /KEY/push/chat` means (RFC 9112, section 3.2.2)."""
    scheme, separator, rest = target.partition(b"://")
    if separator and scheme.lower() in (b"http", b"https"):
        return b"/" + rest.partition(b"/")[2]
    return target


def problem_document(refused: Refused) -> bytes:
    """The body that tells what was refused, why, and what to do."""
    code = refused.code
    return (
        json.dumps(
            {"status": code.status, "title": code.title, "detail": refused.detail, "code": code.name},
            separators=(",", ":"),
        ).encode()
        + b"\n"
    )


class Site(WebSite):
    """No access log, for queries hold keys; no tracebacks for strangers."""

    protocol = Channel  # type: ignore[assignment]
    noisy = False
    displayTracebacks = False

    def __init__(self, resource: "Tree", reactor: Any) -> None:
        super().__init__(resource, requestFactory=Request, reactor=reactor, timeout=IDLE)

    def startFactory(self) -> None:
        """Nothing to open."""

    def stopFactory(self) -> None:
        """Nothing to close."""

    def log(self, request: object) -> None:
        """Nothing is written."""


class Tree(Resource):
    """A tree of endpoints, which is asked before a body is read how long that may be."""

    isLeaf = True

    def find(self, path: tuple[bytes, ...]) -> "Endpoint":
        """The endpoint at a path, by its decoded segments."""
        raise NotImplementedError

    def prepare(self, request: Request) -> int:
        """Have the endpoint set its headers. Returns the most bytes that the body may have."""
        endpoint = self.find(tuple(request.postpath))
        endpoint.prepare(request)
        return endpoint.max_body

    def render(self, request: Request) -> Any:
        return self.find(tuple(request.postpath)).render(request)


class Endpoint(Resource):
    """A leaf that answers a refusal with its problem document. `methods`: those that it knows."""

    isLeaf = True
    methods: tuple[bytes, ...] = (b"GET",)
    max_body = MAX_BODY

    def prepare(self, request: Request) -> None:
        """Set the headers that every answer has. Called when the request's head is there, before its body."""

    def render(self, request: Request) -> Any:
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
        return NOT_DONE_YET

    def serve(self, request: Request) -> None:
        """Answer now or later. May raise `Refused`."""
        raise NotImplementedError

    def count_refusal(self, code: errors.Code) -> None:
        """A request is being refused: for endpoints whose refusals are counted."""

    def refuse(self, request: Request, refused: Refused) -> None:
        """Answer a refusal."""
        request.refuse(refused)

    def failed(self, failure: Failure, request: Request) -> None:
        """The errback of whatever answers later."""
        if isinstance(failure.value, Refused):
            self.count_refusal(failure.value.code)
            self.refuse(request, failure.value)
            return
        log.failure("A request could not be answered", failure)
        request.answer(500, b"text/plain", b"The server has failed; its log says why.\n")


def peer_address(request: Request, trusted: Networks) -> str:
    """The address that a listener is counted by.

    Behind trusted proxies it is the right-most in X-Forwarded-For that is not one of them. A Unix socket can only
    be a proxy's.
    """
    address: IAddress = request.client
    host = getattr(address, "host", None)
    here = "unix" if host is None else str(host)
    forwarded = [
        item.strip()
        for value in request.requestHeaders.getRawHeaders("X-Forwarded-For") or ()
        for item in value.split(",")
    ]
    while forwarded and (here == "unix" or _is_in(here, trusted)):
        candidate = _host_of(forwarded.pop())
        if candidate is None:
            break
        here = candidate
    return here


def _is_in(host: str, networks: Networks) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)


def _host_of(item: str) -> str | None:
    """An item of X-Forwarded-For without a port; some proxies add one."""
    for host in (item, item.rpartition(":")[0].strip("[]"), item.strip("[]")):
        try:
            return str(ip_address(host))
        except ValueError:
            continue
    return None


def take_over(request: Request, protocol: Any) -> None:
    """Give the connection of a request to another protocol. There will be no answer by twisted.web.

    What the peer has sent behind the request goes to whoever is the transport's protocol by then.
    """
    channel = request.channel
    transport = channel.transport
    early = b"".join(channel._dataBuffer)
    channel._dataBuffer = []
    channel.requests.clear()
    channel.setTimeout(None)
    transport.unregisterProducer()
    channel.transport = None
    channel.rawDataReceived = lambda data: protocol_of(transport).dataReceived(data)
    set_protocol(transport, protocol)
    transport.resumeProducing()
    protocol.makeConnection(transport)
    if early:
        protocol_of(transport).dataReceived(early)


def set_protocol(transport: Any, protocol: Any) -> None:
    """From now on `protocol` gets what comes in."""
    if isinstance(transport, ProtocolWrapper):
        transport.wrappedProtocol = protocol
    else:
        transport.protocol = protocol


def protocol_of(transport: Any) -> Any:
    """Who gets what comes in."""
    return transport.wrappedProtocol if isinstance(transport, ProtocolWrapper) else transport.protocol
