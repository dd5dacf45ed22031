"""The head of a response as bytes. Every response that twisted.web does not write itself is begun here."""

from collections.abc import Iterable

from twisted.web.http import RESPONSES

Headers = tuple[tuple[bytes, bytes], ...]

PHRASES = {**RESPONSES, 413: b"Content Too Large", 426: b"Upgrade Required", 429: b"Too Many Requests"}
"""The reason phrase of each status. Twisted has the old phrase of 413, and none for 426 and 429."""


def head_lines(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The status line and a line for each header, without the empty line that ends a head.

    The names and values must be free of CR and LF: nothing is escaped here.
    """
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    return b"HTTP/1.1 %d %b\r\n%b" % (status, PHRASES[status], lines)


def response_head(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A whole head: `head_lines` and the empty line."""
    return head_lines(status, headers) + b"\r\n"
