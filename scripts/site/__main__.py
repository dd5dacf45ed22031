"""scripts/site: build docs/ as a site, and pack it into cometify/static/docs.zip, which the server serves at /docs.

`--folder PATH` keeps the site as a folder too. `--zip PATH` writes the archive to another place.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the definitions are those of this checkout, not of an installed package

import archive  # noqa: E402
import clean_pages  # noqa: E402
import sources  # noqa: E402

WORK = ROOT / ".cache" / "site"


def build(work: Path, to: Path) -> None:
    """Build the site in the folder `work` and pack it. Every warning of Sphinx is an error."""
    pages, site = work / "source", work / "html"
    for old in (pages, site):
        shutil.rmtree(old, ignore_errors=True)
    sources.copy(ROOT, pages)
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "--builder", "html"]
    done = subprocess.run(  # noqa: S603 - the command is written above
        [*command, "--conf-dir", str(Path(__file__).parent), "--doctree-dir", str(work / "doctrees"), pages, site],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    if done.returncode:
        sys.exit(
            "The site was not built: see the warnings above. A page docs/NAME.md is read as .cache/site/source/NAME.md."
        )
    clean_pages.clean(site)
    packed = archive.pack(site, to)
    print(
        f"{to.relative_to(ROOT) if to.is_relative_to(ROOT) else to}: {packed} bytes. Read it in {site / 'index.html'}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=WORK, help="the folder to build in")
    parser.add_argument(
        "--zip", type=Path, default=ROOT / "cometify" / "static" / "docs.zip", help="the archive to write"
    )
    options = parser.parse_args()
    build(options.work.resolve(), options.zip.resolve())
