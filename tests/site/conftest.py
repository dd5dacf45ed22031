"""The built documentation. `make docs` builds it in a checkout, and a release holds it."""

import fcntl
import os
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
ARCHIVE = Path(str(files("cometify") / "static" / "docs.zip"))


def is_current() -> bool:
    """True if the archive is there and no page of this checkout is newer. The suite has no checkout, but a wheel."""
    if not ARCHIVE.exists():
        return False
    folders = ("docs", "scripts/site", "cometify/client", "cometify/config")
    sources = [file for folder in folders for file in (ROOT / folder).rglob("*.[mp][dy]")]
    sources += [*ROOT.glob("*.md"), *(ROOT / "js").glob("*.d.ts"), ROOT / "cometify" / "static" / "openapi.json"]
    sources = [file for file in sources if file.exists()]
    is_checkout = ARCHIVE.is_relative_to(ROOT)
    return not is_checkout or max(file.stat().st_mtime for file in sources) <= ARCHIVE.stat().st_mtime


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the site, by name. It is built first if a checkout has none, or an old one."""
    with (Path(tempfile.gettempdir()) / f"cometify-site-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the processes of a run build it once
        if not is_current():
            work = tmp_path_factory.mktemp("site")
            subprocess.run([sys.executable, ROOT / "scripts" / "site", "--work", work], check=True, cwd=ROOT)
    with ZipFile(ARCHIVE) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
