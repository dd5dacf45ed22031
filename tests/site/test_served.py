"""The site as a server serves it, at /docs."""

import gzip
import io
import re
from urllib.parse import urljoin, urlsplit
from zipfile import ZIP_STORED, ZipFile

import pytest

from cometify.http.docs_site import docs_endpoints
from tests.conftest import Server
from tests.wire import API_KEY


@pytest.fixture(scope="module")
def server(site, tmp_path_factory):
    """A server that starts when the site is built."""
    server = Server(tmp_path_factory.mktemp("server"), {}, {}).start()
    yield server
    server.stop()


def test_docs_lead_to_the_first_page(server):
    moved = server.request("GET", "/docs")
    assert (moved.status, moved.headers["location"]) == (308, "docs/")
    first = server.request("GET", "/docs/")
    assert first.status == 200
    assert b"<title>Cometify" in first.body


def test_file_of_the_site_comes_plain_and_compressed(server, site):
    for name, content_type in {
        "errors.html": "text/html; charset=utf-8",
        "decisions/README.html": "text/html; charset=utf-8",
        "searchindex.js": "text/javascript; charset=utf-8",
        "_static/styles/furo.css": "text/css; charset=utf-8",
        "_images/benchmark.svg": "image/svg+xml",
    }.items():
        plain = server.request("GET", f"/docs/{name}")
        packed = server.request("GET", f"/docs/{name}", headers={"Accept-Encoding": "gzip"})
        assert plain.body == gzip.decompress(packed.body) == site[name]
        assert packed.headers["content-encoding"] == "gzip"
        assert plain.headers["content-type"] == packed.headers["content-type"] == content_type
        assert plain.headers["cache-control"] == "public, max-age=3600"
        assert plain.headers["etag"] != packed.headers["etag"]
        again = server.request("GET", f"/docs/{name}", headers={"If-None-Match": plain.headers["etag"]})
        assert (again.status, again.body) == (304, b"")


def test_page_of_the_site_allows_its_own_scripts_alone(server):
    policy = server.request("GET", "/docs/errors.html").headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy


def test_sample_to_download_is_sent_as_text(server, site):
    sample = next(name for name in site if re.fullmatch(r"_downloads/\w+/page-load\.html", name))
    answer = server.request("GET", f"/docs/{sample}")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")


def test_unknown_page_and_unknown_method_are_refused(server):
    assert server.request("GET", "/docs/none.html").status == 404
    assert server.request("POST", "/docs/errors.html").status == 405


def test_type_of_a_problem_leads_to_the_row_of_its_code(server):
    paths = [
        "/nowhere",
        f"/{API_KEY}/push/",
        f"/{API_KEY}/p%2Fush",
        f"/{API_KEY}/stream?x=/y",
        "/a/b/c/d/e/f/g/h",
    ]
    for method, path in [("POST", "/latest/cometify.min.js"), *(("GET", path) for path in paths)]:
        problem = server.request(method, path).json
        for prefix in ("", "/below/a/path"):
            at = urlsplit(urljoin(f"http://push.example.org{prefix}{path}", problem["type"]))
            assert (at.path, at.fragment) == (f"{prefix}/docs/errors.html", problem["code"]), path
    page = server.request("GET", "/docs/errors.html").body.decode()
    assert f'id="{problem["code"]}"' in page


def test_path_of_many_segments_makes_no_long_type(server):
    assert "type" not in server.request("GET", "/" * 9).json


def test_port_without_documentation_sends_no_type(server):
    for port in (server.admin_port, server.websocket_port):
        assert server.request("GET", "/nowhere", port=port).json.keys() == {"status", "title", "detail", "code"}


def test_page_leads_to_the_documentation(server):
    assert b'href="/docs/"' in server.request("GET", "/").body


def test_server_without_pages_serves_scripts_alone(make_server):
    server = make_server(pages=False)
    for path in ("/", "/page/page.css", "/favicon.svg", "/docs", "/docs/", "/docs/errors.html"):
        assert server.request("GET", path).status == 404, path
    assert "type" not in server.request("GET", "/nowhere").json
    for path in ("/latest/cometify.min.js", "/openapi.json"):
        assert server.request("GET", path).status == 200, path


class Asked:
    """A request for a file, and its answer."""

    method = b"GET"

    def header(self, name):
        return None

    def answer(self, status, content_type, body, headers=()):
        self.answered = status, body


def test_server_from_the_source_says_how_to_build_the_site(tmp_path):
    endpoints = docs_endpoints(tmp_path / "docs.zip")
    asked = Asked()
    endpoints["docs", ""].render(asked)
    status, body = asked.answered
    assert status == 404
    assert b"make docs" in body


def test_archive_that_another_program_packed_is_refused(tmp_path):
    packed = io.BytesIO()
    with ZipFile(packed, "w", ZIP_STORED) as archive:
        archive.writestr("index.html", b"<p>")
    (tmp_path / "docs.zip").write_bytes(packed.getvalue())
    with pytest.raises(ValueError, match=r"index\.html is not compressed with DEFLATE"):
        docs_endpoints(tmp_path / "docs.zip")
