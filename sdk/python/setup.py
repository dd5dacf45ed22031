"""Fill src/ from the sources of the server's package, which has the same client as `cometify.client`, and build.

A source distribution has src/ already, and no server beside it. Then nothing is copied.
"""

import re
import shutil
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
SERVER = HERE.parents[1] / "cometify"
PACKAGE = HERE / "src" / "cometify_client"


def fill() -> None:
    """Copy the client, which imports its own modules relatively, under its new name."""
    shutil.rmtree(PACKAGE, ignore_errors=True)
    shutil.copytree(SERVER / "client", PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    (PACKAGE / "py.typed").touch()
    start = PACKAGE / "__init__.py"
    start.write_text(start.read_text("utf-8").replace("cometify.client", "cometify_client"), "utf-8")
    version = re.search(r'__version__ = "(.+)"', (SERVER / "__init__.py").read_text("utf-8"))
    assert version is not None
    (HERE / "src" / "VERSION").write_text(version[1], "utf-8")


if (SERVER / "client").is_dir():
    fill()
setup()
