"""One request and its answer as endpoints see them, and refusals as problem documents.

Two classes are exchanges: `fast_request.FastRequest` for requests that are plain, and `twisted_request.Request` for all
others. An endpoint cannot tell them apart, and need not.
"""

import json
from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.interfaces import IAddress

from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.response_head import Headers
from cometify.runtime.sockets import Hop
from cometify.runtime.transport import Transport

__all__ = [
    "NO_SNIFF", "NO_STORE", "PROBLEM", "Exchange", "Headers", "ServeAgain", "decoded_query", "problem_document",
    "refusal_headers", "refuse",
]  # fmt: skip

NO_STORE: Headers = ((b"Cache-Control", b"no-store"),)
NO_SNIFF: Headers = (*NO_STORE, (b"X-Content-Type-Options", b"nosniff"))
"""Headers of an answer for which a browser must not guess another type."""
PROBLEM = b"application/problem+json"
_EXPLANATIONS = "docs/errors.html#"
"""The place in the server's documentation that explains a code, below the root of the server."""
_DEEPEST = 8
"""Segments of a path whose refusal links to the documentation. No endpoint has as many."""


class Exchange(Protocol):
    """A request that is to be answered once, now or later.

    `segments`: the path's segments, decoded. `gone`: the peer has left, and an answer would reach nobody.
    `fixed`: the headers that every answer to this request has, refusals included.
    """

    method: bytes
    segments: tuple[str, ...]
    gone: bool
    fixed: Headers

    @property
    def peer(self) -> IAddress:
        """The other end of the connection. Behind the PROXY protocol it is the client that the proxy names."""

    @property
    def hop(self) -> Hop:
        """The connection that the request came by, which is a proxy's if there is one."""

    @property
    def is_http_1_1(self) -> bool:
        """True if the answer may be sent in chunks (RFC 9112, section 7.1)."""

    def header(self, name: str, /) -> str | None:
        """The only or last value of a request header. `name`: in lower case."""

    def headers(self, name: str) -> Sequence[str]:
        """All values of a request header. `name`: in lower case."""

    @property
    def sent_path(self) -> bytes:
        """The path as it was sent, without the query."""

    @property
    def has_docs(self) -> bool:
        """True if the documentation is served at /docs, on the port of this request."""

    def body(self) -> bytes:
        """The whole body."""

    def digest(self) -> str:
        """The SHA-256 of the body, in hex. Of a body for which `Endpoint.hashes_body` it is ready when the body is whole."""

    def keep_body(self) -> None:
        """Have the body count among the long ones until the answer, because its content is kept. See `http.long_bodies`."""

    def forget_body(self) -> None:
        """Free the memory of the body, because nobody reads it again. The answer may be far away."""

    def asked(self) -> tuple[bytes, bytes]:
        """The query and the body, both as they were sent."""

    def query(self) -> dict[str, list[str]]:
        """The parameters of the query, decoded. Raises `Refused` if they are not UTF-8, or too many."""

    def answer(self, status: int, content_type: bytes, body: bytes, headers: Headers = ()) -> None:
        """Write a whole answer. Does nothing if the peer has left."""

    def when_gone(self, call: Callable[[], None]) -> None:
        """Register `call` for the case that the peer leaves before it was answered. Replaces the call before it."""

    def when_read(self, call: Callable[[], None]) -> None:
        """Call `call` when the answer was read so far that there is room for another one, or the peer has left.

        Called right after `answer`. If there is room then, `call` is called at once.
        """

    def expect_again(self, parts: Sequence[bytes], serve: "ServeAgain") -> bool:
        """Register `serve` for the next request on this connection, if it differs only in the digits of its numbers.

        `serve` then answers this same exchange once more. `parts`: the body, or the query if there is no body, split so
        that the digits stand at the odd indexes. Returns False if that is not supported here, or not for this request.
        """

    def prefer(self) -> None:
        """Have the connection read before those that only listen. See `runtime.read_order.ReadOrder`."""

    def release(self) -> tuple[Transport, bytes]:
        """Give the connection away: its transport, and the bytes that the peer has sent behind this request."""


ServeAgain = Callable[[Sequence[int]], bool]
"""Answers, now or later, a request that was sent again with these numbers. False: read the request as any other."""


def refuse(exchange: Exchange, refused: Refused) -> None:
    """Answer with a problem document (RFC 9457)."""
    exchange.answer(refused.code.status, PROBLEM, problem_document(exchange, refused), refusal_headers(refused))


def refusal_headers(refused: Refused) -> Headers:
    """The headers that the answer to a refused request has beside those of its body."""
    more = []
    if refused.retry is not None:
        more.append((b"Retry-After", b"%d" % refused.retry))
    if refused.allow is not None:
        more.append((b"Allow", refused.allow.encode()))
    if refused.code is errors.UPGRADE_REQUIRED:
        more.append((b"Upgrade", b"websocket"))
    return tuple(more)


def problem_document(exchange: Exchange, refused: Refused) -> bytes:
    """The body of a refusal: its type, status, code and title, and a detail that tells the caller how to fix it.

    The type is a relative reference (RFC 9457, section 3.1.1), from the path of the request up to the root of the server.
    A proxy may have the server below a path of its own, which the server does not know. A reference that begins with a slash
    would leave that path. Without documentation there is no type, which means "about:blank".
    """
    code, depth = refused.code, len(exchange.segments)
    links = exchange.has_docs and depth <= _DEEPEST
    problem = {
        **({"type": "../" * (depth - 1) + _EXPLANATIONS + code.name} if links else {}),
        "status": code.status,
        "title": code.title,
        "detail": refused.detail,
        "code": code.name,
    }
    return json.dumps(problem, separators=(",", ":")).encode() + b"\n"


MOST_PARAMETERS = 64
"""Parameters of a query, known and unknown ones. Splitting 14,000 empty ones would take 8 ms."""


def has_too_many(query: bytes) -> bool:
    """True if a query has more parameters than it may have. The query is then refused when somebody reads it."""
    return query.count(b"&") + query.count(b";") >= MOST_PARAMETERS


def too_many_parameters() -> Refused:
    """The refusal of a query that has too many parameters."""
    return Refused(
        errors.INVALID_PARAMETER,
        f"The query has more than {MOST_PARAMETERS} parameters: send only those of this request.",
    )


def decoded_query(parameters: dict[bytes, list[bytes]]) -> dict[str, list[str]]:
    """The parameters of a query as text. Raises `Refused` if they are not UTF-8."""
    try:
        return {name.decode(): [value.decode() for value in values] for name, values in parameters.items()}
    except UnicodeDecodeError:
        raise Refused(errors.INVALID_PARAMETER, "The query is not valid UTF-8.") from None
