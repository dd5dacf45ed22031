"""A PostgreSQL server in a folder of its own, on a Unix socket, for the tests and the campaign of the page-load gap."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # short: a socket's path has 107 bytes at most
    owner: dict[str, object] = {}
    if os.geteuid() == 0:
        entry = pwd.getpwnam(OWNER)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        owner = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    try:
        _make_cluster(folder, owner)
        with (folder / "log").open("wb") as log:
            settings = [word for name, value in _OPTIONS.items() for word in ("-c", f"{name}={value}")]
            process = subprocess.Popen(  # type: ignore[call-overload] # noqa: S603 - the command is ours
                [program("postgres"), "-D", str(folder / "data"), "-k", str(folder), *settings],
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


def _make_cluster(folder: Path, owner: dict[str, object]) -> None:
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    done = subprocess.run(  # type: ignore[call-overload] # noqa: S603 - the command is ours
        [program("initdb"), f"--pgdata={folder / 'data'}", *options],
        cwd=folder,
        capture_output=True,
        check=False,
        **owner,
    )
    if done.returncode:
        raise NotStarted(done.stderr.decode(errors="replace").strip())


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
