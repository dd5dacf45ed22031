"""The documents can be scanned: short lines, short table cells, and links that lead somewhere."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [
        *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CODE_OF_CONDUCT")),
        *(ROOT / "docs").rglob("*.md"),
        *(
            page
            for folder in ("examples", "sdk")
            for pattern in ("", "*/")
            for page in (ROOT / folder).glob(f"{pattern}README.md")
        ),
    ]
)
LONGEST_LINE = 160
"""Characters of a line outside tables and code blocks."""
LONGEST_CELL = 300
"""Characters of a cell of a table, without the space around it."""

TEST = re.compile(r"\[([\w ]+)\]\((?:\.\./)*(tests/[\w/]+\.py)\)")
"""A link to a test that a document names as evidence: its name without `test_`, with spaces, and its file."""

_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7})(?: .*)?$", re.MULTILINE)
"""A line that Git leaves where two changes meet."""
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`]*`")


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line outside code blocks and HTML comments, with its number."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("<!--"):
            yield number, line


def cells(line: str) -> list[str]:
    r"""Split a row of a table at its bars. A bar of a cell's own is written as ``\|``."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def faults(text: str) -> list[str]:
    """List the lines and cells that are too long."""
    found = []
    for number, line in prose(text):
        if line.startswith("|"):
            found += [f"line {number}: a cell of {len(c)}: {c[:40]}" for c in cells(line) if len(c) > LONGEST_CELL]
        elif len(line) > LONGEST_LINE:
            found.append(f"line {number}: {len(line)} characters: {line[:40]}")
    return found


def anchors(text: str) -> set[str]:
    """List the anchors that GitHub gives to the headings: lower case, without punctuation, hyphens for spaces."""
    headings = [line.lstrip("#").strip() for _number, line in prose(text) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path) -> list[str]:
    """List the relative links of a document that lead to no file, or to no heading of a document."""
    found = []
    for number, line in prose(document.read_text("utf-8")):
        for target in _LINK.findall(_CODE.sub("", line)):
            if re.match(r"[a-z]+:", target):
                continue  # an address elsewhere
            name, _, anchor = target.partition("#")
            file = (document.parent / name).resolve() if name else document
            if not file.exists() or (anchor and anchor not in anchors(file.read_text("utf-8"))):
                found.append(f"line {number}: {target}")
    return found


def missing_tests(text: str) -> list[str]:
    """List the names of the tests that a document links to and that are not in the linked file."""
    found = []
    for words, name in TEST.findall(text):
        file, function = ROOT / name, f"test_{words.replace(' ', '_')}"
        if not file.exists() or f"def {function}(" not in file.read_text("utf-8"):
            found.append(function)
    return found


def sources(folder: Path) -> list[Path]:
    """List the files of a folder. Packages and builds stand in folders of these names, or in hidden ones.

    A file that a build is writing beside the tests has the suffix `.part`, and is gone in a moment.
    """
    found = []
    for where, folders, files in os.walk(folder):
        folders[:] = [
            name for name in folders if name not in {"node_modules", "__pycache__", "dist"} and name[0] != "."
        ]
        found += [Path(where, name) for name in files if not name.endswith(".part")]
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_document_has_short_lines_and_cells(document: Path) -> None:
    assert faults(document.read_text("utf-8")) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_document_has_no_broken_link(document: Path) -> None:
    assert broken_links(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_document_names_no_test_that_is_gone(document: Path) -> None:
    assert missing_tests(document.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "folder", ["bench", "changelog.d", "cometify", "deploy", "docs", "examples", "js", "protocol", "scripts", "sdk"]
)
def test_no_file_has_the_marks_of_a_conflict(folder: str) -> None:
    files = [path for path in sources(ROOT / folder) if _CONFLICT.search(path.read_text("utf-8", "replace"))]
    assert files == []


def test_marks_of_a_conflict_are_found(tmp_path: Path) -> None:
    for number, mark in enumerate(
        ["<<<<<<< HEAD", "=======", ">>>>>>> 12ab (A change)", "======= =", "========", " ======="]
    ):
        (tmp_path / str(number)).write_text(f"before\n{mark}\nbehind\n")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "a").write_text("<<<<<<< HEAD\n")
    assert [bool(_CONFLICT.search(path.read_text("utf-8"))) for path in sorted(sources(tmp_path))] == [True] * 4 + [
        False
    ] * 2


def test_index_names_every_document() -> None:
    index = (ROOT / "docs/README.md").read_text("utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert sorted(page for page in pages if f"]({page})" not in index) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_block_of_code_has_a_language(document: Path) -> None:
    fences = [line.strip() for line in document.read_text("utf-8").splitlines() if line.lstrip().startswith("```")]
    assert [number for number, fence in enumerate(fences[::2], 1) if fence == "```"] == []


def test_index_of_the_site_names_every_page() -> None:
    index = (ROOT / "scripts/site/index.md").read_text("utf-8").splitlines()
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"README"}
    assert sorted(page for page in pages if page not in index) == []


def test_long_line_long_cell_and_broken_link_are_found(tmp_path: Path) -> None:
    long = "x" * 301
    assert len(faults(f"{long}\n| a | {long} |\n```\n{long}\n```\n| {long[:300]} |\n{long[:160]}")) == 2
    document = tmp_path / "page.md"
    document.write_text("# A task\n[a](page.md) [b](#a-task) [c](#none) [d](none.md) `[e](code)` [f](https://x.org/)\n")
    assert broken_links(document) == ["line 2: #none", "line 2: none.md"]


def test_name_of_a_missing_test_is_found() -> None:
    here, gone = "../tests/style/test_docs.py", "../tests/style/test_gone.py"
    assert missing_tests(f"[name of a missing test is found]({here}) [x]({here}) [y]({gone})") == ["test_x", "test_y"]
