"""Reads the heads of plain requests. The package's docstring says which requests are plain, and why.

Everything unusual is refused here on purpose: a folded header, a header that occurs twice, a transfer coding, an
expectation, an old version. twisted.web understands those, and gets them.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

import attrs

from cometify.core import errors
from cometify.http.exchange import Exchange
from cometify.http.response_head import Headers

MOST_HEAD = 4096
"""Bytes of the longest head that is plain. Also bounds the memory of each head that is remembered."""
END_OF_HEAD = b"\r\n\r\n"
MOST_BODY = 64 * 1024
"""Bytes of the longest body that is plain."""
MOST_KNOWN = 512
"""Heads that are remembered."""
_LINE = re.compile(
    rb"(GET|POST) /([A-Za-z0-9_-]{1,64}(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}){1,2})(?:\?([!\"$-~]*))? HTTP/1\.1"
)
_FIELDS = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*:[ -~]*\r\n)+")
_LENGTH = re.compile(r"[0-9]{1,6}")
_ODD = frozenset(["transfer-encoding", "expect", "te", "trailer", "http2-settings", "proxy-connection", "keep-alive"])
"""Headers that change how a request is framed or answered. A request with one of them is not plain."""


class PlainEndpoint(Protocol):
    """The parts of `site.Endpoint` that plain requests are held against, and handed to."""

    methods: tuple[bytes, ...]
    max_body: int
    allows_fast_path: bool
    upgrades: bool

    def is_plain(self, headers: Mapping[str, str]) -> bool:
        """True if a request with these headers may take the fast path."""

    def body_limit(self, request: Exchange) -> int:
        """The bytes that the body of a request may have."""

    def hashes_body(self, request: Exchange) -> bool:
        """Return whether the body of a request is hashed while it comes."""

    def too_large(self, request: Exchange) -> errors.Refused:
        """Make the refusal of a longer body."""

    def headers(self, request: Exchange) -> Headers:
        """The headers of every answer."""

    def render(self, request: Exchange) -> None:
        """Answer, now or later."""

    def count_refusal(self, refused: errors.Refused, request: Exchange) -> None:
        """Count a request that is being refused."""


class Endpoints(Protocol):
    """The URL tree. See `site.Tree`."""

    has_docs: bool

    def find(self, path: tuple[str, ...], /) -> PlainEndpoint:
        """The endpoint at a path."""


@attrs.define(eq=False)  # not frozen: making one takes half the time
class HeaderFields:
    """The headers of a plain request, by their names in lower case.

    `connection`: the tokens of the Connection header. `closes`: one of them is "close".
    """

    values: dict[str, str]
    length: int | None
    connection: frozenset[str]
    closes: bool


def read_header_fields(block: bytes) -> HeaderFields | None:
    """Read the header lines, each with its CRLF. Returns None if they are not plain."""
    text = block.decode("latin-1")
    if not _FIELDS.fullmatch(text):
        return None
    lines = [line.partition(":") for line in text.split("\r\n")[:-1]]
    values = {name.lower(): value.strip(" ") for name, _, value in lines}
    if len(values) != len(lines) or not _ODD.isdisjoint(values):
        return None
    length = values.get("content-length")
    if length is not None and not _LENGTH.fullmatch(length):
        return None
    connection = _tokens(values.get("connection", "keep-alive"))
    if "host" not in values or not connection <= {"keep-alive", "close", "upgrade"}:
        return None
    return HeaderFields(values, None if length is None else int(length), connection, "close" in connection)


@lru_cache(64)
def _tokens(connection: str) -> frozenset[str]:
    return frozenset([token.strip() for token in connection.lower().split(",")])


# A client sends the same header lines again and again. Only Content-Length differs between its requests.
_read_known_header_fields = lru_cache(512)(read_header_fields)


@lru_cache(4096)
def _segments(path: bytes) -> tuple[str, ...]:
    return tuple(path.decode().split("/"))


@attrs.define(eq=False)
class Head:
    """The head of a plain request, and the endpoint that the request is for.

    `query`: the indexes of the query within the head. `size`, `length`: the bytes of the head and of the body.
    """

    method: bytes
    segments: tuple[str, ...]
    query: slice
    fields: HeaderFields
    size: int
    length: int
    endpoint: PlainEndpoint


class FastParser:
    """Reads the heads of requests for the endpoints of `tree`."""

    def __init__(self, tree: Endpoints) -> None:
        self._tree = tree
        self._known: dict[bytes, Head] = {}

    def read(self, data: bytes) -> Head | None:
        """Read a head, including the empty line that ends it. Returns None if the request is not plain."""
        return self._known.get(data) or self._read(data)

    def _read(self, data: bytes) -> Head | None:
        at = data.find(b"\r\n")
        line = _LINE.fullmatch(data, 0, at)
        if line is None:
            return None
        segments = _segments(line[2])
        endpoint = self._tree.find(segments)
        # Do not cache heads that are unique per request (handshake key, nonce, Idempotency-Key, span): they would evict
        # reusable ones.
        once = endpoint.upgrades or _is_once(data)
        fields = (read_header_fields if once else _read_known_header_fields)(data[at + 2 : -2])
        if fields is None or not _is_plain(line[1], fields, endpoint):
            return None
        head = Head(line[1], segments, slice(*line.span(3)), fields, len(data), fields.length or 0, endpoint)
        # A publisher's heads repeat because its parameters are in the body. A GET's head holds what it asks for.
        if line[1] == b"POST" and line[3] is None and not once:
            if len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[data] = head
        return head


def _is_once(data: bytes) -> bool:
    """True if the head has headers that differ in each request. An unusual spelling only costs its sender the cache."""
    find = data.find  # `in` takes six times as long because it tries its operand as a number first
    return (
        find(b"\nCometify-") >= 0
        or find(b"\ncometify-") >= 0
        or find(b"\nIdempotency-") >= 0
        or find(b"\nidempotency-") >= 0
        or find(b"\ntraceparent:") >= 0
        or find(b"\nTraceparent:") >= 0
    )


def _is_plain(method: bytes, fields: HeaderFields, endpoint: PlainEndpoint) -> bool:
    """True if a request with a readable head is plain for its endpoint."""
    if (
        not endpoint.allows_fast_path
        or method not in endpoint.methods
        or ("upgrade" in fields.connection) != endpoint.upgrades
    ):
        return False
    if not endpoint.is_plain(fields.values):
        return False
    if method == b"GET":
        return not fields.length
    return fields.length is not None and fields.length <= min(MOST_BODY, endpoint.max_body)
