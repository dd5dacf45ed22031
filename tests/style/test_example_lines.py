"""The table of examples/README.md counts the lines with which the apps use the libraries."""

import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
README = (EXAMPLES / "README.md").read_text("utf-8")
_ROW = re.compile(r"^\| \[(\w+)\]\((\w+)\) \|.*?\| (\S+) \| (\S+) \| (\S+) \| (\S+) \| (\S+) \|$", re.MULTILINE)
ROWS = {app: numbers for app, _folder, *numbers in _ROW.findall(README)}

BACK_ENDS = {
    "guestbook": ["app.py"],
    "orders": ["shop/models.py", "shop/settings.py", "shop/urls.py", "shop/views.py"],
    "comments": ["public/comments.php"],
    "dashboard": ["server.js"],
}
PAGES = {
    "guestbook": ["templates/guestbook.html"],
    "orders": ["shop/templates/orders.html"],
    "comments": ["public/index.html"],
    "dashboard": ["app.jsx"],
    "tail": ["tail.py"],
}
LIBRARY = re.compile(
    r"cometify|outbox|\b(Grant|client)\(|TokenView|with_position"
    r"|usePushes|useConnectionState|async function token|^\s*\.on\(",
    re.IGNORECASE,
)
PUSHES = re.compile(r"from_?[uU]rl\(|\bcometify(\.|->)(push|batch)\(|outbox\.add\(")
_COMMENT = re.compile(r"^\s*(#|//|/\*|\*|\"\"\")|(?<!:)(//|/\*\*).*$")


def lines_with(names: re.Pattern[str], text: str) -> list[str]:
    """List the lines that have one of the names, and those within the brackets that such a line opens."""
    found, depth = [], 0
    for line in text.splitlines():
        code = "" if _COMMENT.match(line) else _COMMENT.sub("", line)
        if code.strip() and (depth > 0 or names.search(code)):
            found.append(line)
            depth = max(0, depth + len(re.findall(r"[(\[{]", code)) - len(re.findall(r"[)\]}]", code)))
    return found


def counted(names: re.Pattern[str], app: str, files: dict[str, list[str]]) -> int | str:
    """Return the number of the lines. An app without such files has a dash in the table."""
    texts = [(EXAMPLES / app / name).read_text("utf-8") for name in files.get(app, [])]
    return sum(len(lines_with(names, text)) for text in texts) if texts else "-"


def test_table_has_a_row_for_each_app():
    assert set(ROWS) == {*BACK_ENDS, *PAGES}


@pytest.mark.parametrize("app", sorted({*BACK_ENDS, *PAGES}))
def test_table_counts_the_lines_of_the_libraries(app: str):
    _by_hand, pushing, client_and_push, _listening_by_hand, listening = ROWS[app]
    assert pushing == str(counted(LIBRARY, app, BACK_ENDS))
    assert client_and_push == str(counted(PUSHES, app, BACK_ENDS))
    assert listening == str(counted(LIBRARY, app, PAGES))


def test_lines_of_a_call_are_counted_and_comments_are_not():
    text = "# cometify\ncometify.push(\n  'a', // cometify\n  {b: 1},\n);\n\nother();\nsend(cometify);\n"
    assert len(lines_with(LIBRARY, text)) == 5
    assert len(lines_with(PUSHES, text)) == 4
