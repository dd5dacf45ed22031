"""The blocks of the pages of PHP and Node run one after another, with the names that they leave to the reader."""

import subprocess
from pathlib import Path

import pytest

from tests.sdk.conftest import SDK, url_of
from tests.sdk.test_first_snippets import PLACE
from tests.site.blocks import BLOCKS
from tests.wire import secure_key

COMMANDS = {"php": ["php", "-r"], "node": ["node", "--input-type=module", "--eval"]}
OF_READER = {
    "php": "$order = ['id' => 8];\n$queue = new class { public function later(string ...$what) {} };\n",
    "node": "const order = { id: 8 };\nfunction later(...what) {}\n",
}


def program_of(name: str, url: str) -> str:
    """The blocks as one program. It has an import once, although several blocks may need it."""
    blocks = [block.code for block in BLOCKS if Path(block.page) == Path("docs", f"{name}.md")]
    assert len(blocks) == 3
    lines: list[str] = []
    for line in "".join(blocks).replace(PLACE, url).splitlines():
        if not (line.startswith("import ") and line in lines):
            lines.append(line)
    return OF_READER[name] + "\n".join(lines)


@pytest.mark.parametrize("name", COMMANDS)
def test_blocks_of_a_page_push_what_they_show(name, server, monkeypatch):
    url = url_of(server.port)
    monkeypatch.setenv("COMETIFY_URL", url)
    command = [*COMMANDS[name], program_of(name, url)]
    done = subprocess.run(command, cwd=SDK / name, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    listen = {"groups": [{"identifiers": {"orders": 0}, "secureKey": secure_key("orders")}]}
    paid, order = [frame for frame in server.poll(listen).frames if frame["type"] == "push"][-2:]
    assert (paid["data"], paid["event"], paid["push_id"]) == ({"id": 7, "state": "paid"}, "paid", 7)
    assert order["data"] == {"id": 8}
