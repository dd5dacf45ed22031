"""What is served as it lies in cometify/static: the getting-started page, and the script for other people's pages."""

from hashlib import sha256
from importlib.resources import files

from cometify import __version__
from cometify.transports.http import Endpoint, Request

STATIC = files("cometify") / "static"

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; "
    b"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""The page needs nothing from elsewhere. WebSockets are named for browsers that do not count them to 'self'."""

LATEST = b"public, max-age=300"
FOREVER = b"public, max-age=31536000, immutable"
# Pages of any origin load the script, also with integrity="…", which asks for CORS.
ANYBODY = {b"Access-Control-Allow-Origin": b"*", b"Cross-Origin-Resource-Policy": b"cross-origin"}


class StaticEndpoint(Endpoint):
    """One file, read at the start."""

    methods = (b"GET", b"HEAD")

    def __init__(
        self, name: str, content_type: bytes, cached: bytes, headers: dict[bytes, bytes] | None = None
    ) -> None:
        super().__init__()
        self._body = (STATIC / name).read_bytes()
        self._content_type = content_type
        self._etag = b'"%b"' % sha256(self._body).hexdigest()[:32].encode()
        self._headers = {
            b"Cache-Control": cached,
            b"ETag": self._etag,
            b"X-Content-Type-Options": b"nosniff",
            **(headers or {}),
        }

    def serve(self, request: Request) -> None:
        for name, value in self._headers.items():
            request.responseHeaders.setRawHeaders(name, [value])
        if request.header("If-None-Match") == self._etag.decode():
            request.setResponseCode(304)
            request.finish()
            return
        request.answer(200, self._content_type, self._body)


def static_endpoints() -> dict[tuple[bytes, ...], StaticEndpoint]:
    """By path: what is static of the URL tree."""
    script = b"text/javascript; charset=utf-8"
    page = {b"Content-Security-Policy": POLICY, b"Referrer-Policy": b"no-referrer"}
    return {
        (b"",): StaticEndpoint("page/index.html", b"text/html; charset=utf-8", b"no-cache", page),
        (b"page.css",): StaticEndpoint("page/page.css", b"text/css; charset=utf-8", b"no-cache"),
        (b"page.js",): StaticEndpoint("page/page.js", script, b"no-cache"),
        (b"favicon.svg",): StaticEndpoint("page/favicon.svg", b"image/svg+xml", LATEST),
        (b"openapi.json",): StaticEndpoint("openapi.json", b"application/json", LATEST, ANYBODY),
        (b"latest", b"cometify.min.js"): StaticEndpoint("cometify.min.js", script, LATEST, ANYBODY),
        (__version__.encode(), b"cometify.min.js"): StaticEndpoint("cometify.min.js", script, FOREVER, ANYBODY),
    }
