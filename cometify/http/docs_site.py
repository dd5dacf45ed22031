"""The documentation as a site, under /docs. It is one ZIP file, which `make docs` builds and each release holds.

The file is read once, when the server starts. Its entries stay compressed, because nearly every browser takes gzip, and
gzip is what a ZIP entry holds (DEFLATE) between another head and tail. So a site of some megabytes takes less than one.
"""

import io
import struct
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources.abc import Traversable
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from cometify.http.exchange import Exchange, Headers
from cometify.http.site import Endpoint
from cometify.http.static_files import SCRIPT, STATIC, STYLE, FileEndpoint

ARCHIVE = STATIC / "docs.zip"
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of the site. Its search asks for pages of the site; its style sheets hold images as data:."""
NOT_BUILT = (
    "The documentation is not part of this installation, because the server runs from the source.\n"
    "Build it with: make docs\n"
    "Then start the server again. The same pages are in the folder docs/ of the source. Each release holds the site.\n"
)

_TEXT = b"text/plain; charset=utf-8"
_CONTENT_TYPES = {
    "html": b"text/html; charset=utf-8",
    "js": SCRIPT,
    "css": STYLE,
    "svg": b"image/svg+xml",
    "png": b"image/png",
    "inv": b"application/octet-stream",
}
"""Content types by suffix. All other files are text."""
_HEADERS: Headers = ((b"Content-Security-Policy", POLICY), (b"Referrer-Policy", b"no-referrer"))
_HOUR = b"public, max-age=3600"
_LOCAL_HEADER = 30
"""Bytes of the head of a ZIP entry, before its name and its extra field (APPNOTE, section 4.3.7)."""


class _Elsewhere(Endpoint):
    """Sends a browser from /docs to /docs/, because the links of the site are relative.

    The address is relative too, because a proxy may have the server below a path.
    """

    methods = (b"GET", b"HEAD")

    def serve(self, request: Exchange) -> None:
        request.answer(308, _TEXT, b"The documentation is at /docs/.\n", ((b"Location", b"docs/"),))


class _NotBuilt(Endpoint):
    """Answers at /docs/ if there is no site."""

    methods = (b"GET", b"HEAD")

    def serve(self, request: Exchange) -> None:
        request.answer(404, _TEXT, NOT_BUILT.encode())


@cache
def docs_endpoints(archive: Traversable = ARCHIVE) -> Mapping[tuple[str, ...], Endpoint]:
    """The endpoints of all files of the site, by their path. Without the archive one endpoint says how to build it.

    All servers of a process share them, because the archive has a megabyte.
    """
    endpoints: dict[tuple[str, ...], Endpoint] = {("docs",): _Elsewhere()}
    if not archive.is_file():
        return {**endpoints, ("docs", ""): _NotBuilt()}
    data = archive.read_bytes()
    with ZipFile(io.BytesIO(data)) as opened:
        for entry in opened.infolist():
            packed = _as_gzip(data, entry)
            name = sha256(packed).hexdigest()[:32]
            endpoint = FileEndpoint(packed, name, _content_type(entry.filename), _HOUR, _HEADERS)
            endpoints["docs", *entry.filename.split("/")] = endpoint
            if entry.filename == "index.html":
                endpoints["docs", ""] = endpoint
    return endpoints


def _content_type(name: str) -> bytes:
    """The content type of a file. A sample to download is shown as text, in every language."""
    return _TEXT if name.startswith("_downloads/") else _CONTENT_TYPES.get(name.rpartition(".")[2], _TEXT)


def _as_gzip(data: bytes, entry: ZipInfo) -> bytes:
    """The gzip file (RFC 1952) with the compressed bytes of an entry."""
    if entry.compress_type != ZIP_DEFLATED:
        raise ValueError(f"{entry.filename} is not compressed with DEFLATE: build the site again with make docs")
    names = struct.unpack_from("<2H", data, entry.header_offset + 26)
    start = entry.header_offset + _LOCAL_HEADER + sum(names)
    tail = struct.pack("<2L", entry.CRC, entry.file_size)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + data[start : start + entry.compress_size] + tail
