"""A PostgreSQL server in a folder of its own, on a Unix socket, for the tests and the campaign of the page-load gap."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

STARTS_WITHIN = 30.0
OWNER = "nobody"
"""The user of the server if this process is root, because PostgreSQL refuses to run as root."""
_DEBIAN = "/usr/lib/postgresql/*/bin"
"""Debian keeps the server's programs here, outside PATH."""
_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "64",
    "shared_buffers": "16MB",
}


class NotStarted(Exception):
    """PostgreSQL is missing or did not start. The message is its last output."""


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs. Raises NotStarted if it is not installed."""
    folders = [str(folder) for folder in sorted(Path("/").glob(_DEBIAN[1:]), reverse=True)]
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise NotStarted(f"{name} is missing: on Debian, apt-get install postgresql")
    return found


@contextmanager
def running_postgres() -> Iterator[Path]:
    """Run a server during the block. Yields the folder of its socket, which is the host for a client.

    The user is `postgres`, without a password, and so is the database. Nothing is synced to the disk.
    """
    folder = make_folder()
    try:
        make_cluster(folder)
        command, owner = command_of(folder)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - the command is ours
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **owner,
            )
        try:
            _wait(process, folder)
            yield folder
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_folder() -> Path:
    """Make a folder for a server. Its name is short, because the path of a socket has 107 bytes at most."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    owner = _owner()
    if owner:
        os.chown(folder, owner["user"], owner["group"])
    return folder


def make_cluster(folder: Path) -> None:
    """Make the files of a server. Raises NotStarted."""
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    done = subprocess.run(  # noqa: S603 - the command is ours
        [program("initdb"), f"--pgdata={folder / 'data'}", *options],
        cwd=folder,
        capture_output=True,
        check=False,
        **_owner(),
    )
    if done.returncode:
        raise NotStarted(done.stderr.decode(errors="replace").strip())


def command_of(folder: Path, more: Mapping[str, str] | None = None) -> tuple[list[str], dict[str, Any]]:
    """Return the command of a server, and the user that it runs as, for subprocess. `more`: further settings."""
    settings = [word for name, value in (_OPTIONS | dict(more or {})).items() for word in ("-c", f"{name}={value}")]
    return [program("postgres"), "-D", str(folder / "data"), "-k", str(folder), *settings], _owner()


def _owner() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(OWNER)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _wait(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Wait until the server takes connections: it writes `ready` into the last line of its pid file."""
    until = time.monotonic() + STARTS_WITHIN
    while True:
        with suppress(OSError, IndexError):
            if (folder / "data/postmaster.pid").read_text().splitlines()[7].strip() == "ready":
                return
        if process.poll() is not None or time.monotonic() > until:
            raise NotStarted((folder / "log").read_text(errors="replace").strip()[-500:])
        time.sleep(0.02)
