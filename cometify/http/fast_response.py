"""Answers of the quick way, as bytes."""

import time
from functools import lru_cache

from twisted.web.http import datetimeToString

from cometify.http.exchange import PHRASES, Headers


@lru_cache(256)
def _lines(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class _Answers:
    """Puts answers together: a second long they begin alike, and a long poll's is the same for all who waited for it."""

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        self._head = b""
        self._body = b""
        self._last = b""

    def __call__(self, status: int, content_type: bytes, body: bytes, headers: Headers, closes: bool) -> bytes:
        of = (int(time.time()), status, content_type, headers, closes)
        if of != self._of:
            connection = b"Connection: close\r\n" if closes else b""
            self._of = of
            self._head = b"HTTP/1.1 %d %b\r\n%bDate: %b\r\nContent-Type: %b\r\n%bContent-Length: " % (
                status, PHRASES[status], connection, datetimeToString(), content_type,
                _lines(headers),
            )  # fmt: skip
        elif body is self._body:
            return self._last
        self._body = body
        self._last = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        return self._last


written = _Answers()
"""An answer of HTTP/1.1 as it goes over the wire."""
