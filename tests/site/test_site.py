"""The documentation as a site: complete, offline, and without a link that leads nowhere."""

import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.site.conftest import ARCHIVE

ROOT = Path(__file__).parents[2]
MOST = 2 * 2**20
"""Bytes of the archive. It is read when a server starts, and each wheel holds it."""


class Page(HTMLParser):
    """The links and the anchors of a page, and what a Content-Security-Policy without inline code forbids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.parts: list[str] = []
        self.anchors: set[str] = set()
        self.forbidden: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        self.anchors |= {names[name] for name in ("id", "name") if names.get(name)}
        if tag == "a" and names.get("href"):
            self.links.append(names["href"])
        if tag in {"script", "link", "img"}:
            self.parts.append(names.get("src") or names.get("href") or "")
        if (
            tag == "style"
            or (tag == "script" and not names.get("src"))
            or any(n == "style" or n[:2] == "on" for n in names)
        ):
            self.forbidden.append(self.get_starttag_text() or tag)


@pytest.fixture(scope="module")
def pages(site):
    return {name: Page(data.decode()) for name, data in site.items() if name.endswith(".html") and name[0] != "_"}


def broken(name, target, site, pages):
    """True if a link of the page `name` leads to no file of the site, or to no anchor of a page."""
    path, _, anchor = target.partition("#")
    file = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
    return file not in site or bool(anchor and file in pages and anchor not in pages[file].anchors)


def test_every_link_within_the_site_leads_somewhere(site, pages):
    elsewhere = re.compile(r"(?:https?|mailto):")
    found = [
        f"{name}: {target}"
        for name, page in pages.items()
        for target in (*page.links, *page.parts)
        if not elsewhere.match(target) and broken(name, target.partition("?")[0] or name, site, pages)
    ]
    assert found == []
    assert broken("a.html", "b.html#c", {"b.html": b""}, {"b.html": Page("<p id=d>")})


def test_every_page_of_the_folder_is_in_the_site_and_its_index(site, pages):
    wanted = {
        page.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for page in (ROOT / "docs").rglob("*.md")
    } - {"README.html"}
    assert wanted - site.keys() == set()
    assert wanted - {target.partition("#")[0] for target in pages["index.html"].links} == set()


def test_pages_hold_no_code_of_their_own_and_nothing_from_elsewhere(pages):
    assert [f"{name}: {tag}" for name, page in pages.items() for tag in page.forbidden] == []
    assert [f"{name}: {part}" for name, page in pages.items() for part in page.parts if "//" in part] == []


def test_search_index_knows_the_words_of_the_pages(site):
    index = site["searchindex.js"].decode()
    assert index.startswith("Search.setIndex(")
    assert "heartbeat" in index
    assert "searchindex.js" in site["search.html"].decode()


def test_site_is_small_enough_for_each_wheel(site):
    assert ARCHIVE.stat().st_size < MOST
