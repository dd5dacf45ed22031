"""The scripts that other people's pages load: their paths, how long caches keep them, and their hashes."""

import gzip
import html
import re
from base64 import b64encode
from hashlib import sha384
from importlib.resources import files
from pathlib import Path

import pytest

from cometify import __version__
from tests.conftest import Server

SCRIPTS = ("cometify.min.js", "cometify.share.min.js", "cometify.mjs")
GUIDE = Path(__file__).parents[2] / "docs" / "client.md"


def integrity(data: bytes) -> str:
    return f"sha384-{b64encode(sha384(data).digest()).decode()}"


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize(
    ("folder", "cached"), [("latest", "public, max-age=300"), (__version__, "public, max-age=31536000, immutable")]
)
def test_scripts_and_their_maps_are_served_to_any_page(server: Server, folder: str, cached: str, name: str):
    script = server.request("GET", f"/{folder}/{name}")
    source_map = server.request("GET", f"/{folder}/{name}.map")
    for answer, suffix, content_type in (
        (script, "", "text/javascript; charset=utf-8"),
        (source_map, ".map", "application/json"),
    ):
        assert answer.status == 200
        assert answer.body == (files("cometify") / "static" / f"{name}{suffix}").read_bytes()
        assert answer.headers["content-type"] == content_type
        assert answer.headers["cache-control"] == cached
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert script.headers["sourcemap"] == f"{name}.map"


def test_page_finds_every_part_it_asks_for(server: Server):
    page = server.request("GET", "/").body.decode()
    waiting = re.findall(r'(?:href|src)="/(page/[^"]+)"', page)
    parts: dict[str, str] = {}
    while waiting:
        path = waiting.pop()
        answer = server.request("GET", f"/{path}")
        assert answer.status == 200, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        parts[path] = answer.headers["content-type"]
        imported = [f"page/{name}" for name in re.findall(r"from '\./([^']+)'", answer.body.decode())]
        waiting += [found for found in imported if found not in parts]
    scripts = [path for path, content_type in parts.items() if content_type == "text/javascript; charset=utf-8"]
    served = [file.name for file in (files("cometify") / "static" / "page").iterdir() if file.name.endswith(".js")]
    assert sorted(scripts) == sorted(f"page/{name}" for name in served)


def test_another_version_is_not_served(server: Server):
    assert server.request("GET", "/0.0.1/cometify.min.js").status == 404


@pytest.mark.parametrize(("name", "most"), [("cometify.min.js", 6000), ("cometify.share.min.js", 1600)])
def test_script_is_not_larger_than_promised(server: Server, name: str, most: int):
    assert len(gzip.compress(server.request("GET", f"/latest/{name}").body, 9)) <= most


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("deflate,x-gzip", True),
        ("gzip;q=0", False),
        ("br, gzip ; q=0.000, identity", False),
        ("br", False),
        ("notgzip", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("path", ["/latest/cometify.min.js", "/"])
def test_static_file_is_compressed_on_request(server: Server, path: str, accepted: str, packed: bool):
    plain = server.request("GET", path)
    answer = server.request("GET", path, headers={"Accept-Encoding": accepted})
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    assert (gzip.decompress(answer.body) if packed else answer.body) == plain.body
    assert (answer.headers["etag"] == plain.headers["etag"]) is not packed
    assert answer.headers["vary"] == "Accept-Encoding"
    for tags in (answer.headers["etag"], f'"other", W/{answer.headers["etag"]}', "*"):
        again = server.request("GET", path, headers={"Accept-Encoding": accepted, "If-None-Match": tags})
        assert (again.status, again.body, again.headers.get("content-encoding")) == (304, b"", None)


def shown(text: str) -> dict[str, str]:
    """The hash beside each address of this version, in a page or a guide."""
    tags = re.findall(rf'src="[^"]*/{re.escape(__version__)}/([\w.]+)"\s+integrity="([^"]*)"', text)
    return dict(tags)


def test_page_shows_the_hash_of_the_served_script(server: Server):
    page = html.unescape(server.request("GET", "/").body.decode())
    assert "{{" not in page
    script = server.request("GET", f"/{__version__}/cometify.min.js").body
    assert shown(page) == {"cometify.min.js": integrity(script)}


def test_guide_shows_the_hashes_of_the_served_scripts(server: Server):
    served = {name: integrity(server.request("GET", f"/{__version__}/{name}").body) for name in SCRIPTS[:2]}
    assert shown(GUIDE.read_text(encoding="utf-8")) == served
