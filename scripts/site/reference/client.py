"""The page of the client's API, from its types in js/*.d.ts."""

import re
from pathlib import Path

_HEAD = """# The client's API, by its types

This page is made from the types of the npm package `cometify`. [Options and methods](../client-options.md) explains them.
"""
_ENTRIES = {"cometify": "cometify", "react": "cometify/react", "vue": "cometify/vue", "echo": "cometify/echo"}
_NAME = re.compile(r"^export (?:declare )?(?:type|interface|class|function|const) (\w+)", re.MULTILINE)
_COMMENT = re.compile(r"\A/\*\*(.*?)\*/\n", re.DOTALL)
_FOR_TOOLS = re.compile(r"^\s*// biome-ignore[^\n]*\n", re.MULTILINE)


def page(folder: Path) -> str:
    """The page as Markdown."""
    parts = [_HEAD]
    for name, entry in _ENTRIES.items():
        parts += [f"## `{entry}`", *_declarations((folder / f"{name}.d.ts").read_text("utf-8"), name)]
    return "\n\n".join(parts) + "\n"


def _declarations(text: str, entry: str) -> list[str]:
    """The exported declarations of a file. Empty lines stand between them, and none within one."""
    parts = []
    for block in _FOR_TOOLS.sub("", text).split("\n\n"):
        comment = _COMMENT.match(block)
        code = block[comment.end() :] if comment else block
        names = _NAME.findall(code)
        if names:
            prose = _prose(comment[1]) if comment else ""
            title = ", ".join(f"`{name}`" for name in names)
            anchor = f"(type-{entry}-{names[0].lower()})=\n"
            parts.append(f"{anchor}### {title}\n\n{prose}\n\n```ts\n{code.strip()}\n```")
    return parts


def _prose(comment: str) -> str:
    return " ".join(re.sub(r"^\s*\*\s?", "", line).strip() for line in comment.splitlines()).strip()
