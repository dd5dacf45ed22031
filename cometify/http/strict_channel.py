"""A stock HTTPChannel that reads two headers as RFC 9110 and RFC 9112 define them, where twisted.web does not."""

from twisted.web.http import HTTPChannel, Request

MOST_DIGITS = 19
"""Digits of a Content-Length. 10^19 bytes are more than any server takes, and Python refuses to read 4,301 digits."""
_NOT_A_NUMBER = b"Content-Length: -"


class StrictChannel(HTTPChannel):
    """Refuses a Content-Length that no server could take, and reads Connection as a list."""

    def headerReceived(self, line: bytes) -> bool:
        """See HTTPChannel. It answers 400 to a Content-Length that is not a number."""
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and len(value.strip(b" \t")) > MOST_DIGITS:
            line = _NOT_A_NUMBER
        return bool(super().headerReceived(line))

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Tell if the connection may stay open. `close` in any list closes it (RFC 9112, section 9.3)."""
        lists = request.requestHeaders.getRawHeaders(b"connection") or ()
        tokens = {token.strip(b" \t").lower() for value in lists for token in value.split(b",")}
        if version != b"HTTP/1.1":
            return False
        if b"close" in tokens:
            request.responseHeaders.setRawHeaders(b"connection", [b"close"])
            return False
        return True
