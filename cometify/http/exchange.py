"""One request and its answer, as endpoints see it; and refusals as problem documents.

There are two ways to be an exchange: `request`, which twisted.web has read, and `allows_fast_path`.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import IAddress
from twisted.web.http import RESPONSES

from cometify.core import errors
from cometify.core.errors import Refused

Headers = tuple[tuple[bytes, bytes], ...]

PHRASES = {**RESPONSES, 426: b"Upgrade Required", 429: b"Too Many Requests"}
"""What a status is called; Twisted has not heard of these two."""

NO_STORE: Headers = ((b"Cache-Control", b"no-store"),)


class Exchange(Protocol):
    """`segments`: the path's, decoded. `gone`: nobody is there to read an answer any more.

    `fixed`: the headers that every answer to this request has, a refusal too.
    """

    method: bytes
    segments: tuple[str, ...]
    gone: bool
    fixed: Headers

    @property
    def peer(self) -> IAddress:
        """Who is at the other end of the connection."""

    @property
    def is_http_1_1(self) -> bool:
        """Whether the answer may come in chunks."""

    def header(self, name: str, /) -> str | None:
        """The only or last value of a header of the request. `name`: in lower case."""

    def headers(self, name: str) -> Sequence[str]:
        """All values of a header of the request. `name`: in lower case."""

    @property
    def sent_path(self) -> bytes:
        """The path as it was sent, without the query."""

    def body(self) -> bytes:
        """The whole body."""

    def asked(self) -> tuple[bytes, bytes]:
        """The query and the body, as they came."""

    def query(self) -> dict[str, list[str]]:
        """The parameters of the query, decoded. Raises `Refused` for what is no UTF-8."""

    def answer(self, status: int, content_type: bytes, body: bytes, headers: Headers = ()) -> None:
        """Write a whole answer, if anybody is there to read it."""

    def when_gone(self, call: Callable[[], None]) -> None:
        """Have `call` called if the peer goes before it was answered. The last one asked for is called."""

    def expect_again(self, parts: Sequence[bytes], serve: "ServeAgain") -> bool:
        """Have `serve` asked first when this request comes again on the connection, byte for byte but for the digits of
        its numbers. It is to answer this exchange once more. `parts`: the body, or the query where there is none, with
        those digits at the odd places. False: it will be read as any other.
        """

    def release(self) -> tuple[Any, bytes]:
        """Give the connection away: its transport, and what the peer has sent behind the request."""


ServeAgain = Callable[[Sequence[int]], bool]
"""Answers, now or later, a request that came again with these numbers. False: it must be read as any other."""


def refuse(exchange: Exchange, refused: Refused) -> None:
    """Answer with a problem document (RFC 9457)."""
    more = []
    if refused.retry is not None:
        more.append((b"Retry-After", b"%d" % refused.retry))
    if refused.allow is not None:
        more.append((b"Allow", refused.allow.encode()))
    if refused.code is errors.UPGRADE_REQUIRED:
        more.append((b"Upgrade", b"websocket"))
    exchange.answer(refused.code.status, b"application/problem+json", problem_document(refused), tuple(more))


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


def decoded_query(parameters: dict[bytes, list[bytes]]) -> dict[str, list[str]]:
    """The parameters of a query as text. Raises `Refused` for what is no UTF-8."""
    try:
        return {name.decode(): [value.decode() for value in values] for name, values in parameters.items()}
    except UnicodeDecodeError:
        raise Refused(errors.INVALID_PARAMETER, "The query is not valid UTF-8.") from None
