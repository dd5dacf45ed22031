"""The code of a page of the documentation, run as it stands, with a URL of a real server."""

import re
from pathlib import Path
from urllib.parse import quote

from tests.wire import API_KEY, API_SECRET

DOCS = Path(__file__).resolve().parents[2] / "docs"
URL = "https://KEY:SECRET@push.example.org"


def url_of(server):
    return f"http://{API_KEY}:{quote(API_SECRET, safe='')}@127.0.0.1:{server.port}"


def blocks(page, language):
    """The blocks of one language, without the indentation of a list."""
    text = (DOCS / page).read_text("utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def run_guide(page, url, names):
    """Run the blocks of Python one after another. Returns the names that they define."""
    names["__name__"] = page.partition(".")[0]  # frameworks want the module of a view
    for number, block in enumerate(blocks(page, "python"), 1):
        exec(compile(block.replace(URL, url), f"{page}, block {number}", "exec"), names)  # noqa: S102 - it is our own
    return names
