"""scripts/release: build everything that is published for a version into dist/, from the commit that is checked out.

Nothing is uploaded. The packages are built in a copy of the commit, so files that are not committed cannot come in.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from email.parser import HeaderParser
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import artifacts
import project

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".cache" / "release"
DIST = ROOT / "dist"
SBOM_TOOL = "cyclonedx-bom>=7.5"
"""The tool that lists the libraries. It is needed for a release alone, so it has an environment of its own."""


def run(*command: str | Path, folder: Path = ROOT) -> bytes:
    """Run a command. If it fails, end with its output."""
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)  # noqa: S603 - the commands are ours
    if done.returncode:
        sys.stderr.write((done.stdout + done.stderr).decode("utf-8", "replace"))
        raise project.NotReady(f"{' '.join(map(str, command))} failed: see its output above.")
    return done.stdout


def export(to: Path) -> int:
    """Copy the commit that is checked out into the folder `to`. Return its time, in seconds since 1970."""
    if run("git", "status", "--porcelain").strip():
        raise project.NotReady(
            "There are changes that are not committed: commit them, because a release is made of a commit."
        )
    with tarfile.open(fileobj=BytesIO(run("git", "archive", "--format=tar", "HEAD"))) as archive:
        archive.extractall(to, filter="data")
    return int(run("git", "log", "-1", "--format=%ct"))


def build_python(source: Path) -> None:
    """Build the distributions of the server and of its client. Each wheel is built from the source distribution."""
    run(sys.executable, "scripts/site", "--work", WORK / "site", folder=source)
    for package in (source, source / "sdk" / "python"):
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", DIST, package, folder=source)


def build_npm(source: Path) -> None:
    """Build the packages for npm, with the tools that `npm ci` has installed in the checkout."""
    (source / "js" / "node_modules").symlink_to(ROOT / "js" / "node_modules")
    for name in project.NPM_PACKAGES:
        run("npm", "pack", "--silent", "--pack-destination", DIST, folder=source / name)


def write_sbom(wheel: Path, to: Path) -> None:
    """Install the wheel where nothing else is, and list each library that came with it, as CycloneDX."""
    tool, installed = WORK / "cyclonedx", WORK / "installed"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python")
    for environment, package in ((tool, SBOM_TOOL), (installed, wheel)):
        run(sys.executable, "-m", "venv", "--without-pip", environment)
        run(*pip, environment / "bin" / "python", "install", package)
    component = WORK / "pyproject.toml"
    component.write_text(root_component(wheel), "utf-8")
    command = (tool / "bin" / "cyclonedx-py", "environment", "--pyproject", component, "--output-reproducible")
    run(*command, "--output-file", to, installed / "bin" / "python")


def root_component(wheel: Path) -> str:
    """Describe the wheel as the tool wants to know the program whose libraries it lists."""
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode("utf-8"))
    needs = [need for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need]
    fields = {"name": metadata["Name"], "version": metadata["Version"], "description": metadata["Summary"]}
    lines = [
        f"{key} = {json.dumps(value)}\n" for key, value in (fields | {"license": "MIT", "dependencies": needs}).items()
    ]
    return "[project]\n" + "".join(lines)


def release() -> None:
    """Build everything, check what it holds, and write the checksums."""
    version, repository = project.version_of(ROOT), project.repository_of(ROOT)
    for folder in (WORK, DIST):
        shutil.rmtree(folder, ignore_errors=True)
    source = WORK / "source"
    source.mkdir(parents=True)
    DIST.mkdir()
    moment = export(source)
    os.environ["SOURCE_DATE_EPOCH"] = str(moment)
    project.fill_in(source, version, repository)
    build_python(source)
    build_npm(source)
    for archive in DIST.glob("*.tar.gz"):
        artifacts.settle(archive, moment)
    artifacts.zip_php(source / "sdk" / "php", DIST / f"cometify-php-{version}.zip", moment)
    write_sbom(DIST / f"cometify-{version}-py3-none-any.whl", DIST / f"cometify-{version}.cdx.json")
    if found := artifacts.faults(DIST, version):
        raise project.NotReady("; ".join(found))
    files = sorted(DIST.iterdir())
    artifacts.write_checksums(DIST, files)
    for file in [*files, DIST / artifacts.CHECKSUMS]:
        print(f"{file.stat().st_size:>9} {file.relative_to(ROOT)}")
    if not repository:
        print(project.UNKNOWN_ADDRESS)


if __name__ == "__main__":
    try:
        release()
    except project.NotReady as reason:
        sys.exit(f"make release: {reason}")
