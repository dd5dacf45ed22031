"""docs/tutorial.md does what it says: its commands are run as they stand, and its page is opened in a browser."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.rig.ports import free_ports
from tests.conftest import PYTHONPATH
from tests.wire import eventually

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
INSTALL, START, ACCOUNT, PUSH, REPLAY, PAGE, PUSH_AGAIN, SECRET, HEAR_SECRET = re.findall(
    r"^```sh\n(.*?)^```$", TUTORIAL.read_text("utf-8"), re.DOTALL | re.MULTILINE
)
ANSWER, REPLAYED = re.findall(r"^```(?:json|text)\n(.*?)^```$", TUTORIAL.read_text("utf-8"), re.DOTALL | re.MULTILINE)


class Terminal:
    """A shell in the folder of the tutorial, which has `cometify` in its path as after the installation."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        programs = folder / "venv" / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        (programs / "activate").write_text(f"PATH={programs}:$PATH\n")
        (programs / "cometify").write_text(f'#!/bin/sh\nexec {sys.executable} -m cometify "$@"\n')
        (programs / "cometify").chmod(0o755)
        (folder / ".curlrc").write_text("silent\n")  # as on a terminal, where curl shows no progress before an answer
        self.process = subprocess.Popen(
            ["sh"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": PYTHONPATH, "PYTHONUNBUFFERED": "1", "CURL_HOME": str(folder)},
        )

    def run(self, commands):
        """Run the commands of a block, and return what they print."""
        return self.start(f"{commands}\necho; echo END $?", "END")

    def start(self, commands, until):
        """Run the commands, and return what they print before a line that has the text `until`."""
        self.process.stdin.write(commands.replace("localhost:8081", f"localhost:{self.port}") + "\n")
        self.process.stdin.flush()
        printed = []
        for line in self.process.stdout:
            if until in line:
                assert not line.startswith("END") or line == "END 0\n", printed
                return "".join(printed)
            printed.append(line)
        raise AssertionError(printed)

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(20)


def without_times(printed):
    """The lines that were printed, with the same text for each position and each time of day."""
    return re.sub(r"\d{16}|\d\d:\d\d:\d\d\.\d{3}", "…", printed).strip().splitlines()


@pytest.fixture
def terminals(tmp_path):
    """Two terminals: the server runs in the first one."""
    port, websocket, admin = free_ports(3)
    (tmp_path / "serve").write_text(
        f"exec {sys.executable} -m cometify serve --http tcp:{port} --websocket tcp:{websocket} "
        f"--admin tcp:{admin}:interface=127.0.0.1"
    )
    first, second = Terminal(tmp_path, port), Terminal(tmp_path, port)
    yield first, second
    second.end()
    first.process.terminate()  # the shell has become the server
    first.end()


def test_commands_and_page_of_the_tutorial_do_what_it_says(terminals, context):
    first, second = terminals
    assert "pip install" in INSTALL
    init, serve = START.splitlines()
    assert (init, serve) == ("cometify init", "cometify serve")
    assert "cometify.toml has an account" in first.run(f". venv/bin/activate\n{init}")
    first.start(". ./serve", "Cometify is up")

    assert second.run(ACCOUNT) == "\n"
    assert without_times(second.run(PUSH)) == without_times(ANSWER)
    assert without_times(second.run(REPLAY)) == without_times(REPLAYED)

    second.run(PAGE)
    page = context.new_page()
    page.goto((second.folder / "page.html").as_uri())
    eventually(lambda: json.loads(second.run(PUSH_AGAIN))["listeners"] == 1)
    page.locator("li", has_text="Hello page!").first.wait_for()

    assert json.loads(second.run(SECRET))["identifier"] == "inbox_7"
    assert "Your order is paid" in second.run(HEAR_SECRET)
