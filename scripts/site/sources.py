"""The pages that Sphinx reads: those of docs/, those of the project, and the files that they link to.

The pages are read on the forge too, where a link may lead to any file of the repository. The site holds only some of these
files, so a link to another one becomes the name of the file.
"""

import os
import re
import shutil
from pathlib import Path

from reference import client, http, python, settings

from cometify.core import errors

PROJECT = {
    "ARCHITECTURE.md": "architecture",
    "CONTRIBUTING.md": "contributing",
    "SECURITY.md": "security",
    "CHANGELOG.md": "changelog",
}
"""Pages at the top of the repository. The site has them in its folder `project`."""
_LINK = re.compile(r"\[(?P<text>[^\]\n]*)\]\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")
_DECISIONS = "\n```{toctree}\n:hidden:\n:glob:\n\n[0-9]*\n```\n"


def copy(root: Path, to: Path) -> None:
    """Copy all pages of the repository `root` into the folder `to`, with links that lead somewhere in the site."""
    shutil.copytree(root / "docs", to, ignore=shutil.ignore_patterns("*.md"))
    shutil.copytree(root / "deploy", to / "deploy")
    for page in sorted((root / "docs").rglob("*.md")):
        if page != root / "docs" / "README.md":
            _copy_page(root, page, to)
    for name in PROJECT:
        _copy_page(root, root / name, to)
    index = to / "decisions" / "README.md"
    index.write_text(index.read_text("utf-8") + _DECISIONS, "utf-8")
    shutil.copy(Path(__file__).parent / "index.md", to / "index.md")
    page = to / "errors.md"
    page.write_text(with_anchors(page.read_text("utf-8")), "utf-8")
    _write_reference(root, to / "reference")


def _write_reference(root: Path, to: Path) -> None:
    """Write the pages that are made from definitions."""
    to.mkdir()
    requests = root / "cometify" / "static" / "openapi.json"
    shutil.copy(requests, to / "openapi.json")
    pages = {
        "http": http.page(requests),
        "settings": settings.page(),
        "client": client.page(root / "js"),
        "python": python.page(),
    }
    for name, text in pages.items():
        (to / f"{name}.md").write_text(text, "utf-8")


def _copy_page(root: Path, page: Path, to: Path) -> None:
    target = to / _place(root, page)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(with_links(page.read_text("utf-8"), root, page), "utf-8")


def _place(root: Path, file: Path) -> str:
    """The path in the site of a file of the repository, or "" if the site does not have it."""
    name = file.relative_to(root).as_posix()
    if name in PROJECT:
        return f"project/{PROJECT[name]}.md"
    if name in {"docs", "docs/README.md"}:
        return "index.md"
    if name == "docs/decisions":
        return "decisions/README.md"
    if not file.is_file():
        return ""
    return name.removeprefix("docs/") if name.startswith(("docs/", "deploy/")) else ""


def with_links(text: str, root: Path, page: Path) -> str:
    """The text of a page, with each link to a file of the repository as the site needs it."""
    folder = Path(_place(root, page)).parent

    def link(match: re.Match[str]) -> str:
        file = Path(os.path.normpath(page.parent / match["path"]))
        if not file.exists() or not file.is_relative_to(root):
            return match[0]
        place = _place(root, file)
        if place:
            return f"[{match['text']}]({os.path.relpath(place, folder)}{match['anchor'] or ''})"
        name = file.relative_to(root).as_posix()
        return match["text"] if name in match["text"] else f"{match['text']} (`{name}`)"

    return _LINK.sub(link, text)


def with_anchors(text: str) -> str:
    """The page of errors, with an anchor in the row of each code. The `type` of a problem document leads to it."""
    codes = [code.name for code in vars(errors).values() if isinstance(code, errors.Code)]
    for code in codes:
        cell = f"| `{code}` |"
        if text.count(cell) != 1:
            raise ValueError(f"docs/errors.md needs one row for {code}, and has {text.count(cell)}")
        text = text.replace(cell, f'| <a id="{code}"></a>`{code}` |')
    return text
