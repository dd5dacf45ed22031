"""The files of cometify/static: the pages at / and /account, and the scripts that other pages load.

`docs_site.py` has the documentation.
"""

import gzip
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256, sha384
from importlib.resources import files

from cometify import __version__
from cometify.http.exchange import Exchange, Headers
from cometify.http.site import Endpoint

STATIC = files("cometify") / "static"

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; "
    b"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""The Content-Security-Policy of the page, which needs nothing from elsewhere. ws: and wss: are named because not every
browser counts them to 'self'."""

LATEST = b"public, max-age=300"
FOREVER = b"public, max-age=31536000, immutable"
# Pages of any origin load the scripts. With integrity="…" a browser loads them by CORS.
ANYBODY: Headers = ((b"Access-Control-Allow-Origin", b"*"), (b"Cross-Origin-Resource-Policy", b"cross-origin"))


SCRIPTS = ("cometify.min.js", "cometify.share.min.js", "cometify.mjs")
DESCRIPTIONS = ("openapi.json", "asyncapi.json")
"""The requests, and the frames, for programs that read such descriptions."""
SCRIPT = b"text/javascript; charset=utf-8"
HTML = b"text/html; charset=utf-8"
STYLE = b"text/css; charset=utf-8"
JSON = b"application/json"


def integrity(name: str) -> str:
    """The value of `integrity` with which a page loads this very file and no other (Subresource Integrity)."""
    return f"sha384-{b64encode(sha384((STATIC / name).read_bytes()).digest()).decode()}"


def _page() -> bytes:
    """The getting-started page, with the version and the hashes of the scripts filled in."""
    page = (STATIC / "page" / "index.html").read_bytes().replace(b"{{version}}", __version__.encode())
    for name in SCRIPTS:
        page = page.replace(f"{{{{integrity {name}}}}}".encode(), integrity(name).encode())
    return page


_GZIP = re.compile(r"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[\d.]+\s*)?(?:,|$)", re.IGNORECASE)
"""Matches an Accept-Encoding that allows gzip (RFC 9110, section 12.5.3). An item with q=0 forbids it."""


def _takes_gzip(request: Exchange) -> bool:
    """True if the answer to this request may be compressed with gzip."""
    return _GZIP.search(request.header("accept-encoding") or "") is not None


class FileEndpoint(Endpoint):
    """One file, which is kept compressed. It is decompressed for a client that does not take gzip.

    `packed`: the file as gzip. `name`: changes with the content of the file.
    """

    methods = (b"GET", b"HEAD")

    def __init__(self, packed: bytes, name: str, content_type: bytes, cached: bytes, headers: Headers = ()) -> None:
        self._packed = packed
        self._name = name
        self._content_type = content_type
        self._headers = (
            (b"Cache-Control", cached),
            (b"X-Content-Type-Options", b"nosniff"),
            (b"Vary", b"Accept-Encoding"),
            *headers,
        )

    def plain(self) -> bytes:
        """The file without compression."""
        return gzip.decompress(self._packed)

    def headers(self, request: Exchange) -> Headers:
        return (*self._headers, (b"ETag", self._tag(request).encode()))

    def _tag(self, request: Exchange) -> str:
        return f'"{self._name}-gzip"' if _takes_gzip(request) else f'"{self._name}"'

    def serve(self, request: Exchange) -> None:
        known = [tag.strip().removeprefix("W/") for tag in (request.header("if-none-match") or "").split(",")]
        if self._tag(request) in known or "*" in known:
            request.answer(304, self._content_type, b"")
        elif _takes_gzip(request):
            request.answer(200, self._content_type, self._packed, ((b"Content-Encoding", b"gzip"),))
        else:
            request.answer(200, self._content_type, self.plain())


@cache
def _compressed(body: bytes) -> bytes:
    """The file as gzip. Each script is served at two paths, and compressing one takes up to 10 ms."""
    return gzip.compress(body, mtime=0)


class StaticEndpoint(FileEndpoint):
    """A file that is kept without compression too. It is compressed once, when the first server of the process starts."""

    def __init__(self, body: bytes, content_type: bytes, cached: bytes, headers: Headers = ()) -> None:
        self._body = body
        super().__init__(_compressed(body), sha256(body).hexdigest()[:32], content_type, cached, headers)

    def plain(self) -> bytes:
        return self._body


@cache
def static_endpoints() -> Mapping[tuple[str, ...], Endpoint]:
    """The endpoints of the files that programs and other pages load, by their path.

    All servers of a process share them, because compressing the files takes 40 ms.
    """
    return {
        **{(name,): StaticEndpoint((STATIC / name).read_bytes(), JSON, LATEST, ANYBODY) for name in DESCRIPTIONS},
        **_scripts("latest", LATEST),
        **_scripts(__version__, FOREVER),
    }


@cache
def page_endpoints() -> Mapping[tuple[str, ...], Endpoint]:
    """The endpoints of the getting-started page and its parts, by their path. All servers of a process share them."""
    page = ((b"Content-Security-Policy", POLICY), (b"Referrer-Policy", b"no-referrer"))
    icon = (STATIC / "page" / "favicon.svg").read_bytes()
    return {
        ("",): StaticEndpoint(_page(), HTML, b"no-cache", page),
        **_page_parts(),
        **_account_page(page),
        ("favicon.svg",): StaticEndpoint(icon, b"image/svg+xml", LATEST),
    }


def _account_page(policy: Headers) -> dict[tuple[str, ...], Endpoint]:
    """The page at /account, where the holder of an account's token sees its usage, and the parts of that page."""
    folder = STATIC / "account"
    return {
        ("account",): StaticEndpoint((folder / "index.html").read_bytes(), HTML, b"no-cache", policy),
        ("account", "account.css"): StaticEndpoint((folder / "account.css").read_bytes(), STYLE, b"no-cache"),
        ("account", "account.js"): StaticEndpoint((folder / "account.js").read_bytes(), SCRIPT, b"no-cache"),
    }


def _page_parts() -> dict[tuple[str, ...], Endpoint]:
    """The page's own scripts and styles, by path: each file of static/page at /page/{name}."""
    content_types = {"css": STYLE, "js": SCRIPT}
    endpoints: dict[tuple[str, ...], Endpoint] = {}
    for file in (STATIC / "page").iterdir():
        content_type = content_types.get(file.name.rpartition(".")[2])
        if content_type is not None:
            endpoints["page", file.name] = StaticEndpoint(file.read_bytes(), content_type, b"no-cache")
    return endpoints


def _scripts(folder: str, cached: bytes) -> dict[tuple[str, ...], Endpoint]:
    """The endpoints of the scripts and their source maps.

    A header names the map, because a comment in the script would count as part of its size.
    """
    endpoints: dict[tuple[str, ...], Endpoint] = {}
    for name in SCRIPTS:
        body, source_map = (STATIC / name).read_bytes(), (STATIC / f"{name}.map").read_bytes()
        headers = (*ANYBODY, (b"SourceMap", f"{name}.map".encode()))
        endpoints[folder, name] = StaticEndpoint(body, SCRIPT, cached, headers)
        endpoints[folder, f"{name}.map"] = StaticEndpoint(source_map, b"application/json", cached, ANYBODY)
    return endpoints
