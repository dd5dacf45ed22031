"""The blocks of Python and of the shell in the documents call what there is, with arguments that it takes.

mypy checks Python against the types of the package. The command `cometify` parses the lines that call it, without running
them. reader/ declares the names that a block leaves to its reader.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import click
import pytest
from twisted.python.usage import UsageError

from cometify.app.options import Options
from cometify.command.main import main
from tests.site.blocks import BLOCKS, ROOT, Block, blocks_of

READER = Path(__file__).parent / "reader"
CACHE = (ROOT.parent if ROOT.parent.name == ".cache" else ROOT / ".cache") / "mypy-of-blocks"
"""It outlives the folder of the suite, because mypy needs many seconds to read the types of Twisted without it."""
_FAULT = re.compile(r"^page(\d+)\.py:(\d+): error: (.*)$", re.MULTILINE)
_COMMAND = re.compile(r"(?:^|[|;&(])\s*(?:[\w./]*/)?cometify\s+(\w+.*)$", re.MULTILINE)


def python_faults(blocks: list[Block], folder: Path) -> list[str]:
    """The faults of all blocks, in one run of mypy, each with its place in its page.

    The blocks of a page are one program, because a block may go on where the one before it ends.
    """
    shutil.copytree(READER, folder, dirs_exist_ok=True)
    pages = {page: list(of_page) for page, of_page in groupby(blocks, attrgetter("page"))}
    for number, of_page in enumerate(pages.values()):
        (folder / f"page{number}.py").write_text(program_of(of_page), "utf-8")
    # Only the blocks and the names of the reader are checked: `make lint` checks the package.
    options = [
        "--config-file=",
        f"--cache-dir={CACHE}",
        "--check-untyped-defs",
        "--follow-imports=silent",
        "--no-pretty",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *(f"page{number}.py" for number in range(len(pages)))],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    faults = _FAULT.findall(done.stdout)
    assert bool(faults) == bool(done.returncode), done.stdout + done.stderr
    return [f"{list(pages)[int(number)]}:{line}: {text}" for number, line, text in faults]


def program_of(blocks: list[Block]) -> str:
    """The blocks at the lines that they have in their page. The names of the reader are in the first line."""
    lines = ["from reader import *"]
    for block in blocks:
        lines += [""] * (block.line - len(lines))
        lines += block.code.splitlines()
    return "\n".join(lines)


def commands_of(code: str) -> list[list[str]]:
    """The arguments of each call of `cometify`."""
    found = []
    for match in _COMMAND.finditer(code.replace("\\\n", " ")):
        words = shlex.shlex(match[1], posix=True, punctuation_chars=True)
        words.whitespace_split = True
        found.append([])
        for word in words:
            if set(word) <= set("();<>|&"):
                break
            found[-1].append(word)
    return found


def fault_of_command(arguments: list[str]) -> str:
    """The complaint of `cometify` about its arguments. Nothing is run."""
    name, *rest = arguments
    try:
        command = main.get_command(click.Context(main), name)
        if command is None:
            return f"There is no command {name}."
        command.make_context(name, list(rest))
        if name == "serve":
            Options().parseOptions(rest)
    except click.UsageError as error:
        return error.format_message()
    except UsageError as error:
        return str(error)
    return ""


def shell_faults(blocks: list[Block]) -> list[str]:
    calls = [(block.where, call) for block in blocks for call in commands_of(block.code)]
    return [f"{where}: {fault}" for where, call in calls if (fault := fault_of_command(call))]


def of_language(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def test_calls_of_python_have_the_right_types(tmp_path):
    assert len(of_language("python")) >= 8
    assert python_faults(of_language("python"), tmp_path) == []


def test_commands_have_options_that_there_are():
    assert len([call for block in of_language("sh") for call in commands_of(block.code)]) >= 15
    assert shell_faults(of_language("sh")) == []


def test_wrong_calls_of_python_are_found(tmp_path):
    """Each page has one fault, in the second line of its block, which is the fifth line of the page."""
    client = "from cometify.client import Cometify"
    wrong = {
        "argument": (client, "Cometify.from_url().push('a', 'b', secrets=True)"),
        "asyncio": ("from cometify.client.aio import AsyncCometify", "AsyncCometify.from_url(bearers=True)"),
        "attribute": (client, "Cometify.from_url().push('a', 'b').listener"),
        "django": ("from cometify.django import push_on_commit", "push_on_commit('a', 'b', evnt='c')"),
        "flask": ("from cometify.flask import Cometify", "Cometify().with_positions"),
        "function": ("def later():", "    cometify.pushed('a', 'b')"),
        "import": (client, "from cometify.client import Comet"),
        "kind": (client, "Cometify.from_url(timeout='5')"),
        "name": (client, "nothing()"),
        "sqlalchemy": ("from cometify.sqlalchemy import push_after_commit", "push_after_commit('a', 'b', 'c')"),
        "starlette": ("from cometify.starlette import Grant", "Grant(['a'], subject='b')"),
        "twisted": ("from cometify.client.tx import TxCometify", "TxCometify.from_url().token('a', second=5)"),
    }
    blocks = [
        block
        for page, lines in wrong.items()
        for block in blocks_of("A page.\n\n```python\n{}\n{}\n```\n".format(*lines), page)
    ]
    assert sorted(fault.split(": ")[0] for fault in python_faults(blocks, tmp_path)) == [f"{page}:5" for page in wrong]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("cometify pusch a b", "There is no command pusch."),
        ("date | cometify push a - --sekret", "No such option '--sekret'."),
        ("KEY=$(cometify token --identifiers a --for long)", "Invalid value for '--for'"),
        ("/opt/cometify/bin/cometify listen", "Missing argument 'CHANNELS...'."),
        ("cd a && cometify bench \\\n  --rate fast", "Invalid value for '--rate'"),
        ("cometify serve --htttp tcp:80", "htttp"),
    ],
)
def test_wrong_commands_are_found(line, fault):
    (found,) = shell_faults(blocks_of(f"```sh\n{line}\n```\n", "page"))
    assert found.startswith("page:1: ")
    assert fault in found
