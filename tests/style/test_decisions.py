"""The index of decision records names every record by its title."""

import re
from pathlib import Path

DECISIONS = Path(__file__).parents[2] / "docs/decisions"
_ENTRY = re.compile(r"^(\d+)\. \[(.+)\]\((\d{4})-[a-z0-9-]+\.md\)$", re.MULTILINE)


def test_index_of_decisions_has_the_titles_of_the_pages() -> None:
    index = (DECISIONS / "README.md").read_text("utf-8")
    entries = {match[0].partition("](")[2].rstrip(")"): match[2] for match in _ENTRY.finditer(index)}
    pages = {page.name: page.read_text("utf-8").partition("\n")[0] for page in DECISIONS.glob("0*.md")}
    assert {name: f"# {title}" for name, title in entries.items()} == pages


def test_numbers_of_the_index_are_those_of_the_pages() -> None:
    index = (DECISIONS / "README.md").read_text("utf-8")
    numbers = [(int(match[1]), int(match[3])) for match in _ENTRY.finditer(index)]
    assert numbers == [(number, number) for number in range(1, len(numbers) + 1)]
