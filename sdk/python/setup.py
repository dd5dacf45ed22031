"""Fill src/ from the sources of the server's package, and build.

`cometify.client` becomes `cometify_client`, and the integrations, such as `cometify.django`, become its modules. A source
distribution has src/ already, and no server beside it. Then nothing is copied.
"""

import re
import shutil
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
SERVER = HERE.parents[1] / "cometify"
PACKAGE = HERE / "src" / "cometify_client"
INTEGRATIONS = ("django", "flask.py", "integration", "sqlalchemy.py", "starlette.py")
SCRIPT = Path("static") / "cometify.min.js"
"""The browser client. Its hash is in the script tags of pages."""
_IMPORT = re.compile(r'((?:from|import) |["`])cometify(?:\.client)?(?=\.(?!min\b|E\d)| import)')
_VERSION = re.compile(r'__version__ = "(.+)"')


def fill() -> None:
    """Copy the client and the integrations, and rename their imports of each other."""
    shutil.rmtree(PACKAGE, ignore_errors=True)
    uncopied = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SERVER / "client", PACKAGE, ignore=uncopied)
    for name in INTEGRATIONS:
        if (SERVER / name).is_dir():
            shutil.copytree(SERVER / name, PACKAGE / name, ignore=uncopied)
        else:
            shutil.copy(SERVER / name, PACKAGE)
    (PACKAGE / SCRIPT).parent.mkdir()
    shutil.copy(SERVER / SCRIPT, PACKAGE / SCRIPT)
    (PACKAGE / "py.typed").touch()
    for file in PACKAGE.rglob("*.py"):
        file.write_text(_IMPORT.sub(r"\1cometify_client", file.read_text("utf-8")), "utf-8")
    version = _VERSION.search((SERVER / "__init__.py").read_text("utf-8"))
    assert version is not None
    (HERE / "src" / "VERSION").write_text(version[1], "utf-8")
    with (PACKAGE / "__init__.py").open("a", encoding="utf-8") as start:
        start.write(f"\n{version[0]}\n")


if (SERVER / "client").is_dir():
    fill()
setup()
