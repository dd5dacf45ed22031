"""A plain request as an `Exchange`, and the same request when it is sent again with other numbers."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Protocol

import attrs
from twisted.internet.interfaces import IAddress
from twisted.web.http import parse_qs

from cometify.http.exchange import ServeAgain, decoded_query, has_too_many, too_many_parameters
from cometify.http.fast_parser import END_OF_HEAD, MOST_HEAD, Head
from cometify.http.fast_response import whole_response
from cometify.http.response_head import Headers
from cometify.runtime.sockets import Hop, hop_of, prefer
from cometify.runtime.tcp import EagerServer
from cometify.runtime.transport import Transport


class FastConnection(Protocol):
    """The connection of a plain request, as the request uses it. See `fast_channel.FastChannel`."""

    transport: Transport

    def peer(self) -> IAddress:
        """The other end of the connection."""

    @property
    def has_docs(self) -> bool:
        """See `Exchange`."""

    @property
    def ends(self) -> bool:
        """True if each answer must end the connection."""

    def answer(self, data: bytes, closes: bool) -> None:
        """Send a whole response to the request that is waiting. `closes`: close the connection behind it."""

    def expect(self, again: "RepeatedRequest | None") -> None:
        """Set or clear the request that may be sent again."""

    def when_read(self, call: Callable[[], None]) -> None:
        """See `Exchange`."""

    def release(self) -> tuple[Transport, bytes]:
        """See `Exchange`."""


class FastRequest:
    """See `Exchange`. `data`: the whole request as it was sent."""

    __slots__ = ("_connection", "_head", "_when_gone", "data", "fixed", "gone", "header", "method", "segments")

    def __init__(self, connection: FastConnection, head: Head, data: bytes) -> None:
        self._connection = connection
        self._head = head
        self.data = data
        self._when_gone: Callable[[], None] | None = None
        self.method = head.method
        self.segments = head.segments
        self.header: Callable[[str], str | None] = head.fields.values.get
        self.fixed: Headers = ()
        self.gone = False

    @property
    def peer(self) -> IAddress:
        return self._connection.peer()

    @property
    def hop(self) -> Hop:
        return hop_of(self._connection.transport)

    @property
    def is_http_1_1(self) -> bool:
        return True

    def headers(self, name: str) -> Sequence[str]:
        value = self.header(name)
        return () if value is None else (value,)

    @property
    def sent_path(self) -> bytes:
        # A plain path has no percent signs, so each path has one spelling only.
        return b"/" + "/".join(self.segments).encode()

    @property
    def has_docs(self) -> bool:
        return self._connection.has_docs

    def body(self) -> bytes:
        return self.data[self._head.size :]

    def digest(self) -> str:
        return sha256(self.body()).hexdigest()

    def keep_body(self) -> None:
        """Do nothing: the body of a plain request is short."""

    def forget_body(self) -> None:
        self.data = b""

    def asked(self) -> tuple[bytes, bytes]:
        return self.data[self._head.query], self.body()

    def query(self) -> dict[str, list[str]]:
        sent = self.data[self._head.query]
        if has_too_many(sent):
            raise too_many_parameters()
        query = sent.decode()  # a plain query is ASCII
        if "%" in query or "+" in query or ";" in query:
            return decoded_query(parse_qs(sent, 1))
        # Nothing is encoded. Splitting here takes half the time of `parse_qs`, and gives the same.
        parameters: dict[str, list[str]] = {}
        for item in query.split("&"):
            name, equals, value = item.partition("=")
            if equals:
                parameters.setdefault(name, []).append(value)
        return parameters

    def answer(self, status: int, content_type: bytes, body: bytes, headers: Headers = ()) -> None:
        if not self.gone:
            closes = self._head.fields.closes or self._connection.ends
            response = whole_response(status, content_type, body, self.fixed + headers, closes)
            self._connection.answer(response, closes)

    def expect_again(self, parts: Sequence[bytes], serve: ServeAgain) -> bool:
        data, head = self.data, self._head
        at = head.size if head.length else head.query.start
        before, numbers = data[:at], []
        for around, digits in zip(parts[::2], parts[1::2], strict=False):
            before += around
            start = at + len(around)
            at = start + len(digits)
            numbers.append((before, start, at))
            before = b""
        if not numbers or head.fields.closes:
            return False
        self._connection.expect(RepeatedRequest(len(data), numbers, data[at:], self, serve))
        return True

    def prefer(self) -> None:
        transport = self._connection.transport
        if isinstance(transport, EagerServer):  # as in `prefer`, without the call
            transport.is_prompt = True
        else:
            prefer(transport)

    def when_gone(self, call: Callable[[], None]) -> None:
        self._when_gone = call

    def when_read(self, call: Callable[[], None]) -> None:
        if self.gone:
            call()
        else:
            self._connection.when_read(call)

    @property
    def ends_with_peer(self) -> bool:
        """True if a call is registered for the case that the peer leaves: the request is a listener's."""
        return self._when_gone is not None

    def lost(self) -> None:
        """The connection was lost before this request was answered."""
        self.gone = True
        if self._when_gone is not None:
            self._when_gone()
        self.forget()

    def forget(self) -> None:
        """Drop the call for the case that the peer leaves: the request is over, and the call may refer to it."""
        self._when_gone = None

    def release(self) -> tuple[Transport, bytes]:
        return self._connection.release()


class PartialRequest:
    """The beginning of a request that may be plain. `missing`: bytes of its body, 0 while the head is not whole."""

    __slots__ = ("_parts", "missing")

    def __init__(self, data: bytes, missing: int = 0) -> None:
        self._parts = [data]
        self.missing = missing

    def add(self, data: bytes) -> bytes:
        """Add what was received. Returns all of the request so far once there is more to be known of it, else nothing."""
        self._parts.append(data)
        if self.missing:
            self.missing -= len(data)
            return b"" if self.missing > 0 else b"".join(self._parts)
        data = b"".join(self._parts)
        self._parts = [data]
        return data if len(data) >= MOST_HEAD or data.find(END_OF_HEAD) >= 0 else b""


_ZERO = ord("0")


@attrs.frozen(eq=False)
class RepeatedRequest:
    """A request that may be sent again on its connection with other numbers, as a long poll is.

    `size`: its length in bytes. `numbers`: for each number the bytes before it, and the indexes at which its digits
    begin and end. `behind`: the bytes after the last number. `request`: the request as it was sent the first time.
    `serve`: answers it once more.
    """

    size: int
    numbers: Sequence[tuple[bytes, int, int]]
    behind: bytes
    request: FastRequest
    serve: ServeAgain

    def read(self, data: bytes) -> list[int] | None:
        """The numbers in `data`, or None if anything but their digits differs. Their lengths must be the same too."""
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
