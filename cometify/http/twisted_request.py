"""A request as twisted.web has read it: the way that understands all of HTTP."""

import hashlib
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.web.http import datetimeToString
from twisted.web.server import Request as WebRequest

from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.channel_transport import ChannelTransport
from cometify.http.exchange import (
    PROBLEM,
    Headers,
    ServeAgain,
    decoded_query,
    has_too_many,
    problem_document,
    refusal_headers,
    too_many_parameters,
)
from cometify.http.response_head import PHRASES, response_head
from cometify.runtime.sockets import Hop
from cometify.runtime.transport import Transport

MAX_BODY = 512 * 1024
"""Bytes of a request's body."""
MOST_DISCARDED = 8 * 2**20
"""Bytes of a too large body that are read and dropped, because many clients read no answer before they have sent
everything. With more, the connection is closed."""
MOST_FRAMING = 128 * 1024
"""Bytes of the lines between the chunks of a body, beside a quarter of its content. So what an extension of a chunk brings is
bounded too. Two reads are less than this, because the lines are counted before the content between them."""
MOST_SMALL = 2500
"""Chunks of a body beyond one for each 64 bytes of its content. Each chunk costs 2 µs, so 8 MiB in chunks of one byte would
take 15 s. A program that sends each token of JSON as a chunk has 2,000 in a batch of 100 pushes."""


class Request(WebRequest):
    """A request whose body is bounded and left unparsed, and whose target may be in absolute form. See `Exchange`.

    twisted.web would parse forms leniently. The contract refuses malformed forms that twisted.web would accept.
    """

    content: BytesIO | None
    transport: ChannelTransport
    segments: tuple[str, ...]
    fixed: Headers = ()
    gone = False
    _refused = False
    _has_too_many = False
    _received = 0
    _pieces = 0
    _limit = MAX_BODY
    _hash: "hashlib._Hash | None" = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, parsePOSTFormSubmission=False, **kwargs)

    # Called by twisted.web.

    def gotLength(self, length: int | None) -> None:
        """Called once the head has been read. `length`: bytes of the body, or None if it comes in chunks."""
        self.content = BytesIO()
        self.method, target, version = self.transport.request_line
        self.uri = _origin_form(target)
        self.transport.expect_body(length)
        segments = self.sent_path[1:].split(b"/")
        self.segments = tuple([unquote_to_bytes(part).decode("utf-8", "replace") for part in segments])
        endpoint = self.transport.find(self.segments)
        self.fixed = endpoint.headers(self)
        self._limit = endpoint.body_limit(self)
        self._hash = hashlib.sha256() if endpoint.hashes_body(self) else None
        wrong = self._fault(target, version, in_chunks=length is None)
        if wrong is not None:
            self._refuse(Refused(errors.INVALID_PARAMETER, wrong))
        elif length is not None and length > self._limit:
            self._refuse(endpoint.too_large(self))

    def _fault(self, target: bytes, version: bytes, *, in_chunks: bool) -> str | None:
        """Tell what is wrong with a head that HTTP/1.1 requires to be refused (RFC 9112, sections 3.2 and 6.1)."""
        hosts = len(self.headers("host"))
        if hosts > 1:
            return "The header Host is given more than once: send it once."
        if not hosts and version == b"HTTP/1.1":
            return "The header Host is missing: a request of HTTP/1.1 must have it."
        if in_chunks and version != b"HTTP/1.1":
            return "Only a request of HTTP/1.1 has its body in chunks: send the header Content-Length."
        if not self.uri.startswith(b"/") and (self.method, target) != (b"OPTIONS", b"*"):
            return "The target of the request must begin with a slash, or be a URL of http or https."
        return None

    def handleContentChunk(self, data: bytes) -> None:
        """A piece of the body."""
        self._received += len(data)
        transport = self.transport
        self._pieces += 1
        is_chopped = transport.chunk_bytes > 0 and (
            transport.chunk_bytes > MOST_FRAMING + self._received + self._received // 4
            or self._pieces - transport.chunk_reads > MOST_SMALL + self._received // 64
        )
        if self._refused:
            if is_chopped or self._received > MOST_DISCARDED:
                transport.loseConnection()
            return
        if is_chopped:
            self._refuse(
                Refused(errors.INVALID_BODY, "The chunks of the body are too small: send at least 64 bytes in each.")
            )
            return
        content = self._content()
        content.write(data)
        if self._hash is not None:
            self._hash.update(data)
        if content.tell() > self._limit:
            self._refuse(self.transport.find(self.segments).too_large(self))

    def _refuse(self, refused: Refused) -> None:
        """Answer before the body is read. twisted.web can answer only whole requests, so the bytes are written here."""
        self._refused = self.transport.drops_body = True
        self.content = BytesIO()
        self.requestHeaders.removeHeader(b"Expect")
        self.transport.find(self.segments).count_refusal(refused, self)
        body = problem_document(self, refused)
        head = response_head(
            refused.code.status,
            (
                (b"Date", datetimeToString()),
                (b"Content-Type", PROBLEM),
                (b"Content-Length", b"%d" % len(body)),
                (b"Connection", b"close"),
                *self.fixed,
                *refusal_headers(refused),
            ),
        )
        self.transport.write(head if self.method == b"HEAD" else head + body)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Called once the body has been read."""
        if self._refused:
            self.transport.loseConnection()
            return
        self.transport.request_is_whole()
        target = _origin_form(path)
        before, mark, query = target.partition(b"?")
        self._has_too_many = has_too_many(query)
        # twisted.web splits the query of every request, whether or not it is asked for.
        super().requestReceived(command, before + mark if self._has_too_many else target, version)

    def finish(self) -> None:
        """Called once the answer has been written."""
        super().finish()
        self.transport.request_is_done()

    def connectionLost(self, reason: Failure) -> None:
        """The peer has left."""
        self.gone = True
        super().connectionLost(reason)

    # Called by endpoints. See `Exchange`.

    @property
    def peer(self) -> IAddress:
        return cast("IAddress", self.client)

    @property
    def hop(self) -> Hop:
        return self.transport.hop

    def prefer(self) -> None:
        self.transport.prefer()

    @property
    def is_http_1_1(self) -> bool:
        return bool(self.clientproto == b"HTTP/1.1")

    def header(self, name: str) -> str | None:
        values = self.headers(name)
        return values[-1] if values else None

    def headers(self, name: str) -> Sequence[str]:
        values = self.requestHeaders.getRawHeaders(name.encode()) or ()
        return [value.decode("utf-8", "replace") for value in values]

    @property
    def sent_path(self) -> bytes:
        return self.uri.partition(b"?")[0]

    @property
    def has_docs(self) -> bool:
        return self.transport.has_docs

    def body(self) -> bytes:
        return self._content().getvalue()

    def _content(self) -> BytesIO:
        assert self.content is not None  # gotLength was called first
        return self.content

    def digest(self) -> str:
        return (self._hash or hashlib.sha256(self.body())).hexdigest()

    def keep_body(self) -> None:
        self.transport.keeps_body = True

    def forget_body(self) -> None:
        self.content = BytesIO()

    def asked(self) -> tuple[bytes, bytes]:
        return self.uri.partition(b"?")[2], self.body()

    def query(self) -> dict[str, list[str]]:
        if self._has_too_many:
            raise too_many_parameters()
        return decoded_query(self.args)

    def answer(self, status: int, content_type: bytes, body: bytes, headers: Headers = ()) -> None:
        if self.gone:
            return
        self.setResponseCode(status, PHRASES.get(status))
        response = self.responseHeaders
        response.removeHeader(b"Server")
        response.setRawHeaders(b"Content-Type", [content_type])
        response.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
        for name, value in (*self.fixed, *headers):
            response.setRawHeaders(name, [value])
        if status == 304:  # describes a body that the client has already (RFC 9110, section 15.4.5)
            response.removeHeader(b"Content-Type")
            response.removeHeader(b"Content-Length")
        if self.transport.ends:
            response.setRawHeaders(b"Connection", [b"close"])
            self.channel.persistent = False
        self.write(body)
        self.finish()

    def when_gone(self, call: Callable[[], None]) -> None:
        self.transport.ends_with_peer = True
        self.notifyFinish().addErrback(lambda _gone: call())

    def when_read(self, call: Callable[[], None]) -> None:
        if self.gone:
            call()
        else:
            self.transport.when_read(call)

    def expect_again(self, parts: Sequence[bytes], serve: ServeAgain) -> bool:
        """Return False: twisted.web parses every request."""
        return False

    def release(self) -> tuple[Transport, bytes]:
        self.gone = True
        return self.transport.release()


def _origin_form(target: bytes) -> bytes:
    """`POST http://host/KEY/push/chat` means the same as `POST /KEY/push/chat` (RFC 9112, section 3.2.2)."""
    scheme, separator, rest = target.partition(b"://")
    if separator and scheme.lower() in (b"http", b"https"):
        return b"/" + rest.partition(b"/")[2]
    return target
