"""The versions of the measured servers, asked from the installed packages."""

import json
import subprocess
from pathlib import Path

_ASK = "import importlib.metadata as m, sys; print(', '.join(f'{p} {m.version(p)}' for p in sys.argv[1:]))"
_ASK_COMETIFY = "import cometify; print(cometify.__version__, cometify.__file__)"


def output(*command: str) -> str:
    """Return the output of a program, or an empty string if it fails or does not exist."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603 - commands are ours
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def first_line(*command: str) -> str:
    """Return the first line of a program's output."""
    return output(*command).partition("\n")[0]


def of_debian(*packages: str) -> str:
    """Return the versions of Debian packages."""
    return ", ".join(output("dpkg-query", "-W", *packages).replace("\t", " ").splitlines())


def of_npm(modules: Path, package: str) -> str:
    """Return the versions of an npm package and of node."""
    found = json.loads((modules / package / "package.json").read_text())
    return f"{package} {found['version']}, node {output('node', '--version')}"


def of_python(python: Path, *packages: str) -> str:
    """Return the versions of packages that this Python finds, and of the Python."""
    return f"{output(str(python), '-c', _ASK, *packages)}, {output(str(python), '--version')}"


def of_cometify(programs: Path) -> str:
    """Return the version of Cometify that twistd will import, its commit if it is a checkout, Twisted and Autobahn."""
    python = programs / "python"
    version, _, file = output(str(python), "-c", _ASK_COMETIFY).partition(" ")
    commit = output("git", "-C", str(Path(file).parent), "describe", "--always", "--dirty") or "no checkout"
    return f"cometify {version} ({commit}), {of_python(python, 'Twisted', 'autobahn')}"
