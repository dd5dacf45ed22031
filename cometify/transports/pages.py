"""What is served as it lies in cometify/static: the getting-started page, and the script for other people's pages."""

from hashlib import sha256
from importlib.resources import files

from cometify import __version__
from cometify.transports.exchange import Exchange, Headers
from cometify.transports.http import Endpoint

STATIC = files("cometify") / "static"

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; "
    b"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""The page needs nothing from elsewhere. WebSockets are named for browsers that do not count them to 'self'."""

LATEST = b"public, max-age=300"
FOREVER = b"public, max-age=31536000, immutable"
# Pages of any origin load the script, also with integrity="…", which asks for CORS.
ANYBODY: Headers = ((b"Access-Control-Allow-Origin", b"*"), (b"Cross-Origin-Resource-Policy", b"cross-origin"))


class StaticEndpoint(Endpoint):
    """One file, read at the start."""

    methods = (b"GET", b"HEAD")

    def __init__(self, name: str, content_type: bytes, cached: bytes, headers: Headers = ()) -> None:
        self._body = (STATIC / name).read_bytes()
        self._content_type = content_type
        self._etag = b'"%b"' % sha256(self._body).hexdigest()[:32].encode()
        self._headers = (
            (b"Cache-Control", cached),
            (b"ETag", self._etag),
            (b"X-Content-Type-Options", b"nosniff"),
            *headers,
        )

    def headers(self, request: Exchange) -> Headers:
        return self._headers

    def serve(self, request: Exchange) -> None:
        if request.header("if-none-match") == self._etag.decode():
            request.answer(304, self._content_type, b"")
        else:
            request.answer(200, self._content_type, self._body)


def static_endpoints() -> dict[tuple[str, ...], StaticEndpoint]:
    """By path: what is static of the URL tree."""
    script = b"text/javascript; charset=utf-8"
    page = ((b"Content-Security-Policy", POLICY), (b"Referrer-Policy", b"no-referrer"))
    return {
        ("",): StaticEndpoint("page/index.html", b"text/html; charset=utf-8", b"no-cache", page),
        ("page.css",): StaticEndpoint("page/page.css", b"text/css; charset=utf-8", b"no-cache"),
        ("page.js",): StaticEndpoint("page/page.js", script, b"no-cache"),
        ("favicon.svg",): StaticEndpoint("page/favicon.svg", b"image/svg+xml", LATEST),
        ("openapi.json",): StaticEndpoint("openapi.json", b"application/json", LATEST, ANYBODY),
        ("latest", "cometify.min.js"): StaticEndpoint("cometify.min.js", script, LATEST, ANYBODY),
        (__version__, "cometify.min.js"): StaticEndpoint("cometify.min.js", script, FOREVER, ANYBODY),
    }
