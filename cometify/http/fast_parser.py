"""The heads of plain requests: exactly what is understood on the quick way, and nothing of what is odd.

A folded header, a header twice, a transfer coding, an expectation, an old version: not understood here, on purpose.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import attrs

from cometify.http.exchange import ServeAgain

MOST_HEAD = 4096
"""Bytes of a head that is read here. Also what bounds the memory of `read_header_fields`."""
MOST_BODY = 64 * 1024
"""Bytes of a body that is waited for here."""
MOST_KNOWN = 512
"""Heads that are remembered."""
_LINE = re.compile(rb"(GET|POST) /([A-Za-z0-9_-]{1,64}(?:/[A-Za-z0-9_]{1,64}){1,2})(?:\?([!\"$-~]*))? HTTP/1\.1")
_FIELDS = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*:[ -~]*\r\n)+")
_LENGTH = re.compile(r"[0-9]{1,6}")
_ODD = frozenset(["transfer-encoding", "expect", "te", "trailer", "http2-settings", "proxy-connection", "keep-alive"])
"""Headers that change what a request is: not plain."""


@attrs.define(eq=False)  # not frozen: making one takes half the time
class HeaderFields:
    """The headers of a plain request, by their names in lower case. `connection`: the tokens of that header."""

    values: dict[str, str]
    length: int | None
    connection: frozenset[str]
    closes: bool


def read_header_fields(block: bytes) -> HeaderFields | None:
    """The header lines, each with its CRLF, or None if they are not plain."""
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


# A client sends the same header lines over and over: but for Content-Length they are of one connection or program.
_read_known_header_fields = lru_cache(512)(read_header_fields)


@lru_cache(4096)
def _segments(path: bytes) -> tuple[str, ...]:
    return tuple(path.decode().split("/"))


@attrs.define(eq=False)
class Head:
    """A plain request up to its body, and the endpoint that it is for. `size`, `length`: bytes of the head and the body;
    `query`: where in the head it stands.
    """

    method: bytes
    segments: tuple[str, ...]
    query: slice
    fields: HeaderFields
    size: int
    length: int
    endpoint: Any


class FastParser:
    """Reads the heads of requests for what is in `tree`."""

    def __init__(self, tree: Any) -> None:
        self._tree = tree
        self._known: dict[bytes, Head] = {}

    def read(self, data: bytes) -> Head | None:
        """All up to and with the empty line, or None if it is not plain."""
        return self._known.get(data) or self._read(data)

    def _read(self, data: bytes) -> Head | None:
        at = data.find(b"\r\n")
        line = _LINE.fullmatch(data, 0, at)
        if line is None:
            return None
        segments = _segments(line[2])
        endpoint = self._tree.find(segments)
        # What never comes again (a handshake's key, a nonce, an Idempotency-Key) would only drive out what does.
        once = endpoint.upgrades or _is_once(data)
        fields = (read_header_fields if once else _read_known_header_fields)(data[at + 2 : -2])
        if fields is None or not _is_plain(line[1], fields, endpoint):
            return None
        head = Head(line[1], segments, slice(*line.span(3)), fields, len(data), fields.length or 0, endpoint)
        if line[1] == b"POST" and line[3] is None and not once:
            # A publisher's are the same but for Content-Length; a GET says in its head what it asks for.
            if len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[data] = head
        return head


@attrs.frozen(eq=False)
class RepeatedRequest:
    """A request that comes again on its connection with other numbers, as those of pollers do.

    `numbers`: for each the bytes before it, and where its digits begin and end. `behind`: the bytes after the last.
    `request`: as it came the first time; whoever has answered it is asked by `serve`.
    """

    size: int
    numbers: Sequence[tuple[bytes, int, int]]
    behind: bytes
    request: Any
    serve: ServeAgain

    def read(self, data: bytes) -> list[int] | None:
        """The numbers, or None if anything else has changed; how many digits they have, too."""
        if len(data) != self.size or not data.endswith(self.behind):
            return None
        found = []
        at = 0
        for before, start, end in self.numbers:
            digits = data[start:end]
            if not (data.startswith(before, at) and digits.isdigit()) or digits[0] == _ZERO:
                return None
            found.append(int(digits))
            at = end
        return found


_ZERO = ord("0")


def _is_once(data: bytes) -> bool:
    """Whether there are headers that are others each time. Who spells them otherwise only drives out what is remembered."""
    find = data.find  # for `in` takes bytes for a number first, and six times as long
    return (
        find(b"\nCometify-") >= 0
        or find(b"\ncometify-") >= 0
        or find(b"\nIdempotency-") >= 0
        or find(b"\nidempotency-") >= 0
    )


def _is_plain(method: bytes, fields: HeaderFields, endpoint: Any) -> bool:
    """Whether a request is of the form that is understood here."""
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
