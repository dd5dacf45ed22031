"""A server's process: started on ports of its own, waited for, and ended by its process id."""

import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STARTS_WITHIN = 30.0
STOPS_WITHIN = 5.0


class NotStarted(Exception):
    """A server did not listen on its ports in time. The message is the last line that it printed."""


_SPARE_FILES = 500
"""Open files that a process needs beside its connections, at most."""


def raise_file_limit(connections: int = 0) -> None:
    """Raise the limit of open files of this process, and of all that it starts, to the hard limit.

    Raises SystemExit if it does not suffice for so many connections of one process.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < connections + _SPARE_FILES:
        raise SystemExit(
            f"A process may have {hard:,} open files here (ulimit -Hn), which is too few for {connections:,} listeners: "
            f"raise the limit, or let at most {max(0, hard - _SPARE_FILES):,} come."
        )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:160] if lines else "it printed nothing"


def _wait_for_ports(process: subprocess.Popen[bytes], ports: tuple[int, ...], log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN
    waiting = list(ports)
    while waiting:
        if process.poll() is not None or time.monotonic() > until:
            raise NotStarted(_last_line(log))
        waiting = [port for port in waiting if not _listens(port)]
        time.sleep(0.02)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process, then kill the rest of its process group. The process was started as the head of that group."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOPS_WITHIN)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def running_server(
    command: list[str], environment: dict[str, str], folder: Path, ports: tuple[int, ...]
) -> Iterator[int]:
    """Run a server during the block. Yields its process id when it listens on all ports. Raises NotStarted.

    Its output goes to `server.log` in the folder.
    """
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - commands are this package's own
            command,
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_for_ports(process, ports, log)
        yield process.pid
    finally:
        _stop(process)
