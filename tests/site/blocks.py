"""The blocks of code in the documents."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "js" / "README.md", *(ROOT / "sdk").glob("*/README.md"), *(ROOT / "docs").rglob("*.md")]
)
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<code>.*?)^(?P=indent)```\s*$", re.DOTALL | re.MULTILINE
)


class Block(NamedTuple):
    """A block of code of a document."""

    page: str
    line: int
    """The line of the fence above the code."""
    language: str
    code: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(text: str, page: str) -> list[Block]:
    found = []
    for match in _FENCE.finditer(text):
        line = text[: match.start()].count("\n") + 1
        code = re.sub(rf"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
        found.append(Block(page, line, match["language"], code))
    return found


BLOCKS = [
    block for page in DOCUMENTS for block in blocks_of(page.read_text("utf-8"), page.relative_to(ROOT).as_posix())
]
