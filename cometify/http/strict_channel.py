"""A stock HTTPChannel that reads three headers as RFC 9110 and RFC 9112 define them, where twisted.web does not."""

from twisted.web.http import HTTPChannel, Request

MOST_DIGITS = 19
"""Digits of a Content-Length. 10^19 bytes are more than any server takes, and Python refuses to read 4,301 digits."""
_NOT_A_NUMBER = b"Content-Length: -"
_NO_CODING = b"Transfer-Encoding: none"


class StrictChannel(HTTPChannel):
    """Refuses a Content-Length that no server could take and the old coding `identity`, and reads Connection as a list."""

    def headerReceived(self, line: bytes) -> bool:
        """See HTTPChannel. It answers 400 to a Content-Length that is not a number, and to a coding that it does not know.

        HTTPChannel takes `identity` for no coding at all, and RFC 9112, section 6.1, no longer has it. A proxy that reads it
        in another way would see other requests on the connection than this server.
        """
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"content-length" and len(value) > MOST_DIGITS:
            line = _NOT_A_NUMBER
        elif name == b"transfer-encoding" and value.lower() == b"identity":
            line = _NO_CODING
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
