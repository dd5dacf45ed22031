"""The prose of the sources: docstrings, comments and attribute docstrings, and what of its style can be counted."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

QUESTION_WORDS = frozenset({"what", "who", "whether", "how", "where", "when", "as", "so"})
"""A docstring or a comment that begins with one of these makes its reader wait for the subject."""

_CLAUSE = r"(?:it|they|he|she|there|nobody|nothing|what|who|all|no|this is|these are|those who)\b"
PHRASES = {
    "for, meaning because": re.compile(rf"[a-z)`], for {_CLAUSE}"),
    "no more": re.compile(r"\bno more\b(?! than)"),
    "is no": re.compile(r"(?<![Tt]here )\b(?:is|are|was|were) no (?!longer|larger|higher|lower|later)"),
    "anew": re.compile(r"\banew\b"),
    "so that ... is it": re.compile(r"\bso that\b[^.]*\bis it\b"),
}
"""Turns of phrase that must be read twice."""


def python_prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line number and the text of each docstring, attribute docstring and comment of a Python file.

    Comments on successive lines are one piece. Comments for tools (noqa, type: ignore, fmt) are left out.
    """
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield getattr(node, "lineno", 1), docstring
        body = getattr(node, "body", None)
        if isinstance(body, list):
            for before, after in pairwise(body):
                if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(after, ast.Expr):
                    value = after.value
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        yield after.lineno, value.value
    yield from _comments(source)


def _comments(source: str) -> Iterator[tuple[int, str]]:
    began, last, lines = 0, -1, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or re.search(r"noqa|type: ignore|fmt:|^#!", token.string):
            continue
        alone = not token.line[: token.start[1]].strip()
        if lines and not (alone and token.start[0] == last + 1):
            yield began, " ".join(lines)
            lines = []
        if not lines:
            began = token.start[0]
        lines.append(token.string.lstrip("# "))
        last = token.start[0] if alone else -1
    if lines:
        yield began, " ".join(lines)


_TYPESCRIPT_COMMENT = re.compile(
    r"/\*\*?(.*?)\*/|((?:^[ \t]*//[^\n]*\n)+)|(?<=[;,{)] )//([^\n]*)", re.DOTALL | re.MULTILINE
)


def typescript_prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line number and the text of each comment of a TypeScript or JavaScript file."""
    source = path.read_text(encoding="utf-8")
    for match in re.finditer(
        r"/\*\*?(.*?)\*/|((?:^[ \t]*//[^\n]*\n)+)|(?<=[;,{)] )//([^\n]*)", source, re.DOTALL | re.MULTILINE
    ):
        text = next(group for group in match.groups() if group is not None)
        text = " ".join(re.sub(r"^\s*(?:\*|//)\s?", "", line).strip() for line in text.splitlines()).strip()
        if text and not re.match(r"biome-ignore|@|eslint|# sourceMapping", text):
            yield source[: match.start()].count("\n") + 1, text


def first_word(text: str) -> str:
    """Return the first word in lower case, or an empty string."""
    match = re.match(r"\W*([A-Za-z']+)", text)
    return match[1].lower() if match else ""
