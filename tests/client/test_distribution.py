"""The distribution `cometify-client`, built and installed where nothing else is."""

import hashlib
import os
import shutil
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from zipfile import ZipFile

import pytest

import cometify
from tests.wire import API_KEY, API_SECRET

ROOT = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
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
INTEGRATIONS = """
import sys
import django, flask
from django.conf import settings

sys.path.insert(0, "wheel")
settings.configure(
    INSTALLED_APPS=["cometify_client.django"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
django.setup()
from django.core.management import call_command
from django.template import engines
from django.db import transaction
from cometify_client.django import client, outbox
from cometify_client.django.models import OutboxPush
from cometify_client.django.views import TokenView
from cometify_client.flask import Cometify
from cometify_client.sqlalchemy import push_after_commit
from cometify_client.starlette import Cometify as StarletteCometify

call_command("check")
call_command("migrate", verbosity=0)
with transaction.atomic():
    outbox.add("guestbook", "Hello world!")
assert OutboxPush.objects.get().text == "Hello world!"
tags = [engines["django"].from_string("{% load cometify %}{% cometify_script %}").render()]
app = flask.Flask("guestbook")
cometify = Cometify(app)
with app.app_context():
    tags.append(cometify.script())
tags.append(StarletteCometify().script())
assert "cometify" not in sys.modules and "twisted" not in sys.modules
print(*tags, sep="\\n")
"""


def run(*command, folder, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=environment | variables, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # The tests can run beside an installed package, and then its sources are not in this tree.
    folder = tmp_path_factory.mktemp("build")
    shutil.copytree(ROOT / "sdk" / "python", folder / "sdk" / "python", ignore=shutil.ignore_patterns("src", "build"))
    package = Path(cometify.__file__).parent
    shutil.copytree(package, folder / "cometify", ignore=shutil.ignore_patterns("__pycache__"))
    build = [*PIP, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", "wheels", "sdk/python"]
    run(*build, folder=folder)
    (wheel,) = (folder / "wheels").iterdir()
    return wheel


def test_wheel_pushes_where_nothing_else_is_installed(server, wheel, tmp_path):
    run(sys.executable, "-m", "venv", "--without-pip", "fresh", folder=tmp_path)
    run(*PIP, "--python", "fresh/bin/python", "install", "--no-index", str(wheel), folder=tmp_path)
    url = f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    printed = run(tmp_path / "fresh/bin/python", "-W", "error", "-c", SCRIPT, folder=elsewhere, COMETIFY_URL=url)
    assert printed == f"chat {cometify.__version__}\nchat\n"


def test_wheel_has_the_integrations_without_the_server(server, wheel, tmp_path):
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "wheel")
    url = f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}"
    printed = run(sys.executable, "-c", INTEGRATIONS, folder=tmp_path, COMETIFY_URL=url)
    tags = printed.splitlines()[1:]
    script = server.request("GET", f"/{cometify.__version__}/cometify.min.js").body
    pinned = f'integrity="sha384-{b64encode(hashlib.sha384(script).digest()).decode()}"'
    assert len(tags) == 3
    assert all(pinned in tag for tag in tags)


def test_release_takes_the_wheel_as_it_is_built(wheel, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts" / "release")
    import artifacts

    faults = artifacts.faults(wheel.parent, cometify.__version__)
    assert [fault for fault in faults if not fault.endswith(" is missing")] == []
    assert f"{wheel.name} is missing" not in faults
