"""Whole responses to plain requests, as bytes."""

import time

from twisted.web.http import datetimeToString

from cometify.http.response_head import Headers, head_lines


class _Writer:
    """Writes responses, and remembers the last one.

    Responses of one second often begin alike because only their bodies differ. A long poll's response is even the same
    for every listener that waited for it, body included.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._head = b""
        self._body = b""
        self._last = b""

    def __call__(self, status: int, content_type: bytes, body: bytes, headers: Headers, closes: bool) -> bytes:
        key = (int(time.time()), status, content_type, headers, closes)
        if key != self._key:
            self._key = key
            connection: Headers = ((b"Connection", b"close"),) if closes else ()
            own: Headers = ((b"Date", datetimeToString()), (b"Content-Type", content_type))
            self._head = head_lines(status, connection + own + headers)
        elif body is self._body:
            return self._last
        self._body = body
        self._last = b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body)
        return self._last


whole_response = _Writer()
"""A response of HTTP/1.1 with a body, ready to be sent."""
