"""The distribution `cometify-client`, built and installed where nothing else is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cometify
from tests.wire import API_KEY, API_SECRET

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import asyncio, importlib.util, sqlite3, sys
from importlib.metadata import version
from cometify_client import Cometify, CometifyError, outbox
from cometify_client.aio import AsyncCometify

assert not [name for name in ("cometify", "twisted", "httpx", "attr") if importlib.util.find_spec(name)]
with Cometify.from_url(timeout=20) as client:
    print(client.push("chat", "Hello world!").identifier, version("cometify-client"))
db = sqlite3.connect(":memory:")
outbox.create_table(db)
assert outbox.add(db, "chat", "Hello world!") == 1
db.close()
print(asyncio.run(AsyncCometify.from_url(timeout=20).push("chat", "Hello world!")).identifier)
"""


def run(*command, folder, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=environment | variables, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_pushes_where_nothing_else_is_installed(server, tmp_path):
    # The tests can run beside an installed package, and then its sources are not in this tree.
    shutil.copytree(ROOT / "sdk" / "python", tmp_path / "sdk" / "python", ignore=shutil.ignore_patterns("src", "build"))
    package = Path(cometify.__file__).parent
    shutil.copytree(package / "client", tmp_path / "cometify" / "client")
    shutil.copy(package / "__init__.py", tmp_path / "cometify")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", "wheels", "sdk/python"]
    run(*build, folder=tmp_path)
    (wheel,) = (tmp_path / "wheels").iterdir()
    run(sys.executable, "-m", "venv", "--without-pip", "fresh", folder=tmp_path)
    run(*pip, "--python", "fresh/bin/python", "install", "--no-index", str(wheel), folder=tmp_path)
    url = f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    printed = run(tmp_path / "fresh/bin/python", "-W", "error", "-c", SCRIPT, folder=elsewhere, COMETIFY_URL=url)
    assert printed == f"chat {cometify.__version__}\nchat\n"
