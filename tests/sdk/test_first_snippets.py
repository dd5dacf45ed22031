"""The first lines of each library's page push as they stand there."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.sdk.conftest import SDK, url_of

DOCS = Path(__file__).parents[2] / "docs"
PLACE = "https://KEY:SECRET@push.example.org"


@pytest.fixture
def run(server):
    """run(page, command, folder): carry out the first snippet of a page. Returns the text of the newest push."""

    def run(page: str, command: list[str], folder: str) -> str:
        text = (DOCS / page).read_text("utf-8")
        snippet = re.findall(r"```\w+\n(.*?)```", text, re.DOTALL)[0]
        assert len([line for line in snippet.splitlines() if line]) <= 3
        assert PLACE in snippet
        begin = server.request("GET", "/37282591/position").json["position"]
        code = command[-1].replace("{}", snippet.replace(PLACE, url_of(server.port)))
        done = subprocess.run(
            [*command[:-1], code], cwd=SDK / folder, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        frames = server.poll(query=f"identifiers=guestbook&position={begin}").frames
        (push,) = [frame for frame in frames if frame["type"] == "push"]
        return push["text"]

    return run


def test_php_page_pushes(run):
    assert run("php.md", ["php", "-r", "{}"], "php") == "Hello world!"


def test_node_page_pushes(run):
    assert run("node.md", ["node", "--input-type=module", "--eval", "{}"], "node") == "Hello world!"


def test_shell_page_pushes(run):
    assert run("shell.md", ["sh", "-c", "{}"], "..") == "Hello world!"
