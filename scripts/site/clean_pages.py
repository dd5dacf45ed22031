"""Pages without inline scripts and styles, so that the server's Content-Security-Policy needs to allow none."""

import os
import re
from hashlib import sha256
from pathlib import Path

_INLINE = re.compile(r"<(?P<tag>script|style)>(?P<body>.*?)</(?P=tag)>", re.DOTALL)
_DRAWING = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
_ATTRIBUTE = re.compile(r'\bstyle="([a-z-]+): ([^";]+);?"')
_FORBIDDEN = re.compile(
    r"""<script(?![^>]*\bsrc=)|<style\b|<[^>]*\s(?:style|on[a-z]+)=["']|<(?:script|link|img)\b[^>]*(?:src|href)="(?:[a-z]+:)?//"""
)
"""Forbidden parts of a page: inline code and styles, and files of code and styles from elsewhere."""


def clean(site: Path) -> None:
    """Move the inline scripts and styles of all pages of a folder into files. Raises `ValueError` if some are left."""
    for page in sorted(site.rglob("*.html")):
        if page.is_relative_to(site / "_downloads"):
            continue  # a sample, which the server sends as text
        text = _clean_page(page.read_text("utf-8"), site, os.path.relpath(site, page.parent))
        left = _FORBIDDEN.search(text)
        if left:
            raise ValueError(f"{page}: the server's policy does not allow {text[left.start() : left.start() + 80]!r}")
        page.write_text(text, "utf-8")


def _clean_page(text: str, site: Path, up: str) -> str:
    def move(match: re.Match[str]) -> str:
        kind = "js" if match["tag"] == "script" else "css"
        name = f"_static/{sha256(match['body'].encode()).hexdigest()[:12]}.{kind}"
        (site / name).write_text(match["body"], "utf-8")
        path = os.path.normpath(f"{up}/{name}")
        return f'<script src="{path}"></script>' if kind == "js" else f'<link rel="stylesheet" href="{path}">'

    def draw(match: re.Match[str]) -> str:
        return _ATTRIBUTE.sub(r'\1="\2"', match[0])  # SVG has an attribute for each of these properties

    return _DRAWING.sub(draw, _INLINE.sub(move, text))
