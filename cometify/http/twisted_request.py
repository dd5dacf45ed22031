"""A request as twisted.web has read it, mended where the contract needs it: the way that knows all of HTTP."""

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
from cometify.http.exchange import PHRASES, Headers, ServeAgain, decoded_query, problem_document

MAX_BODY = 512 * 1024
"""Bytes of a request's body."""
DISCARDED = 8 * 2**20
"""Bytes of a body that is too large which are read away, so that its sender gets to read the answer."""


class Request(WebRequest):
    """A request whose body is bounded and left unparsed, and whose target may be in absolute form. See `Exchange`.

    twisted.web would parse forms leniently; the contract refuses what it passes over.
    """

    content: BytesIO | None
    channel: Any
    segments: tuple[str, ...]
    fixed: Headers = ()
    gone = False
    _refused = False
    _discarded = 0
    _limit = MAX_BODY

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parsePOSTFormSubmission = False

    # What twisted.web calls.

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()
        path = _origin_form(self.channel._path).partition(b"?")[0]
        self.segments = tuple([unquote_to_bytes(part).decode("utf-8", "replace") for part in path[1:].split(b"/")])
        endpoint = self.channel.site.resource.find(self.segments)
        self.fixed = endpoint.headers(self)
        self._limit = endpoint.max_body
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
        self.channel.site.resource.find(self.segments).count_refusal(errors.BODY_TOO_LARGE)
        refused = Refused(
            errors.BODY_TOO_LARGE, f"The body is longer than {self._limit} bytes, which is the most here."
        )
        body = problem_document(refused)
        self._set_headers(b"application/problem+json", len(body), ())
        self.responseHeaders.setRawHeaders(b"Date", [datetimeToString()])
        self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        self.channel.writeHeaders(b"HTTP/1.1", b"413", b"Content Too Large", self.responseHeaders)
        self.channel.write(body)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if self._refused:
            self.channel.loseConnection()
            return
        super().requestReceived(command, _origin_form(path), version)

    def connectionLost(self, reason: Failure) -> None:
        self.gone = True
        super().connectionLost(reason)

    # What endpoints ask of an exchange.

    @property
    def peer(self) -> IAddress:
        return cast("IAddress", self.client)

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

    def body(self) -> bytes:
        return self._content().getvalue()

    def _content(self) -> BytesIO:
        assert self.content is not None  # gotLength comes first
        return self.content

    def asked(self) -> tuple[bytes, bytes]:
        return self.uri.partition(b"?")[2], self.body()

    def query(self) -> dict[str, list[str]]:
        return decoded_query(self.args)

    def answer(self, status: int, content_type: bytes, body: bytes, headers: Headers = ()) -> None:
        if self.gone:
            return
        self.setResponseCode(status, PHRASES.get(status))
        self._set_headers(content_type, len(body), headers)
        if status == 304:  # it tells of what the client has already (RFC 9110, section 15.4.5)
            self.responseHeaders.removeHeader(b"Content-Type")
            self.responseHeaders.removeHeader(b"Content-Length")
        self.write(body)
        self.finish()

    def _set_headers(self, content_type: bytes, length: int, headers: Headers) -> None:
        mine = self.responseHeaders
        mine.removeHeader(b"Server")
        mine.setRawHeaders(b"Content-Type", [content_type])
        mine.setRawHeaders(b"Content-Length", [b"%d" % length])
        for name, value in (*self.fixed, *headers):
            mine.setRawHeaders(name, [value])

    def when_gone(self, call: Callable[[], None]) -> None:
        self.notifyFinish().addErrback(lambda _gone: call())

    def expect_again(self, parts: Sequence[bytes], serve: ServeAgain) -> bool:
        """Whatever comes to twisted.web is read each time."""
        return False

    def release(self) -> tuple[Any, bytes]:
        channel = self.channel
        transport = channel.transport
        early = b"".join(channel._dataBuffer)
        channel._dataBuffer = []
        channel.requests.clear()
        channel.rawDataReceived = channel.pass_on
        channel.let_go()
        transport.resumeProducing()  # nothing is read while twisted.web has a request
        return transport, early


def _origin_form(target: bytes) -> bytes:
    """`POST http://host/KEY/push/chat` means what `POST /KEY/push/chat` means (RFC 9112, section 3.2.2)."""
    scheme, separator, rest = target.partition(b"://")
    if separator and scheme.lower() in (b"http", b"https"):
        return b"/" + rest.partition(b"/")[2]
    return target
