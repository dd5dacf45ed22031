"""The console's page at / of the admin endpoint. Its source is in `js/console`."""

from collections.abc import Iterator

from cometify.http.site import Endpoint
from cometify.http.static_files import POLICY, SCRIPT, STATIC, StaticEndpoint


def page_endpoints() -> Iterator[tuple[tuple[str, ...], Endpoint]]:
    """The page and its files, each with its path."""
    policy = ((b"Content-Security-Policy", POLICY), (b"Referrer-Policy", b"no-referrer"))
    for path, name, content_type in (
        ("", "console/index.html", b"text/html; charset=utf-8"),
        ("console.js", "console/console.js", SCRIPT),
        ("console.css", "console/console.css", b"text/css; charset=utf-8"),
        ("favicon.svg", "page/favicon.svg", b"image/svg+xml"),
    ):
        yield (path,), StaticEndpoint((STATIC / name).read_bytes(), content_type, b"no-cache", policy)
