"""Which versions were measured, asked from what is installed."""

import json
import subprocess
from pathlib import Path

_ASK = "import importlib.metadata as m, sys; print(', '.join(f'{p} {m.version(p)}' for p in sys.argv[1:]))"
_ASK_COMETIFY = "import cometify; print(cometify.__version__, cometify.__file__)"


def output(*command: str) -> str:
    """What a program prints; nothing where it fails or does not exist."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603 - our own
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def first_line(*command: str) -> str:
    """What a program prints first."""
    return output(*command).partition("\n")[0]


def of_debian(*packages: str) -> str:
    """Debian's packages."""
    return ", ".join(output("dpkg-query", "-W", *packages).replace("\t", " ").splitlines())


def of_npm(modules: Path, package: str) -> str:
    """One of npm's packages, and node."""
    found = json.loads((modules / package / "package.json").read_text())
    return f"{package} {found['version']}, node {output('node', '--version')}"


def of_python(python: Path, *packages: str) -> str:
    """Packages as this Python finds them, and the Python."""
    return f"{output(str(python), '-c', _ASK, *packages)}, {output(str(python), '--version')}"


def of_cometify(programs: Path) -> str:
    """Cometify as twistd will find it: its version, the commit where it runs from a checkout, and what it stands on."""
    python = programs / "python"
    version, _, file = output(str(python), "-c", _ASK_COMETIFY).partition(" ")
    commit = output("git", "-C", str(Path(file).parent), "describe", "--always", "--dirty") or "no checkout"
    return f"cometify {version} ({commit}), {of_python(python, 'Twisted', 'autobahn')}"
