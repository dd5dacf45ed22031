"""Processes that are forked from one that has the modules of the server and of the command imported.

A start of the server or of the command takes 0.6 s of CPU time, nearly all of it for imports, and the tests start hundreds.
A fork has a process id, variables, a folder, descriptors and signals of its own, and runs the same entry point. A test whose
promise is about the start itself or about memory starts its process as users do.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from typing import IO

PRELOADED = (
    "twisted.scripts.twistd",
    "twisted.scripts._twistd_unix",
    "twisted.internet.epollreactor",
    "cometify.app.service",
    "cometify.command.bench.command",
    "cometify.command.canary.command",
    "cometify.command.doctor.command",
    "cometify.command.listen",
    "cometify.command.push",
    "cometify.command.relay.command",
)
"""Modules that most starts import. None of them installs a reactor."""
PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL
_READ_AT_START = ("COVERAGE_", "LANG", "LC_", "LD_", "PYTHON")
"""The beginnings of the names of variables that count only when an interpreter starts."""
_SET_LATER = {"PYTHONUNBUFFERED", "PYTHONIOENCODING"}
_MOST = 1 << 17


class ForkedProcess:
    """Has the part of `subprocess.Popen` that the tests use."""

    def __init__(self, pid: int, status: int, pipes: Sequence[IO[bytes] | None]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status
        self._lock = threading.Lock()
        self.stdin, self.stdout, self.stderr = pipes

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"the forked process {self.pid}", timeout or 0)
        return code

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and _is_readable(self._status, timeout):
            with self._lock:  # several threads may wait
                if self.returncode is None:
                    told = os.read(self._status, 16)
                    assert told, "the fork server has ended"
                    self.returncode = int(told)
        return self.returncode

    def __del__(self) -> None:
        os.close(self._status)

    def send_signal(self, how: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, how)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _is_readable(descriptor: int, timeout: float | None) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(None if timeout is None else timeout * 1000))


class ForkServer:
    """The process that forks. `environment`: its variables, which Python and the C library read when it starts."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {name: value for name, value in environment.items() if name not in _SET_LATER}
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())]
            self._process = subprocess.Popen(command, env=self._environment, pass_fds=[theirs.fileno()])
        self._socket = ours
        atexit.register(self._end)

    def suits(self, environment: Mapping[str, str]) -> bool:
        """Tell if a fork can have these variables."""
        names = {name for name in {*environment, *self._environment} if name.startswith(_READ_AT_START)}
        return all(environment.get(name) == self._environment.get(name) for name in names - _SET_LATER)

    def start(
        self,
        program: Sequence[str],
        cwd: Path | None,
        environment: Mapping[str, str],
        stdin: int = DEVNULL,
        stdout: int = PIPE,
        stderr: int = PIPE,
    ) -> ForkedProcess:
        """Start `twistd` or `cometify`, the first word of the program. A descriptor can be PIPE, as in subprocess."""
        pipes: list[IO[bytes] | None] = []
        theirs: list[int] = []
        with ExitStack() as opened:
            for wanted, mode in ((stdin, "wb"), (stdout, "rb"), (stderr, "rb")):
                pipe = None
                end = wanted
                if wanted == PIPE:
                    reads, writes = os.pipe()
                    ours, end = (writes, reads) if mode == "wb" else (reads, writes)
                    pipe = os.fdopen(ours, mode)
                elif wanted == DEVNULL:
                    end = os.open(os.devnull, os.O_RDWR)
                if end != wanted:
                    opened.callback(os.close, end)
                pipes.append(pipe)
                theirs.append(end)
            status, told = os.pipe()
            opened.callback(os.close, told)
            asked = json.dumps([list(program), str(cwd or Path.cwd()), dict(environment)]).encode()
            with self._lock:
                socket.send_fds(self._socket, [asked], [*theirs, told])
                pid = int(self._socket.recv(16))
        return ForkedProcess(pid, status, pipes)

    def _end(self) -> None:
        self._socket.close()
        self._process.wait(20)


# The process that forks.


def _serve(connection: socket.socket) -> list[str] | None:
    """Fork when it is asked for. Returns the program in the process that is to run it, and None at the end."""
    children: dict[int, tuple[int, int]] = {}
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    while True:
        for ready, _event in waiting.poll():
            if ready in children:
                pid, told = children.pop(ready)
                waiting.unregister(ready)
                _tell(pid, told)
                os.close(ready)
                continue
            asked, descriptors, _flags, _address = socket.recv_fds(connection, _MOST, 4)
            if not asked:
                return None
            pid = os.fork()
            if not pid:
                connection.detach()
                program, folder, environment = json.loads(asked)
                _become(folder, environment, descriptors[:3])
                return list(program)
            handle = os.pidfd_open(pid)
            children[handle] = pid, descriptors[3]
            waiting.register(handle, select.POLLIN)
            for descriptor in descriptors[:3]:
                os.close(descriptor)
            connection.send(str(pid).encode())


def _tell(pid: int, told: int) -> None:
    """Tell who asked for the process how it ended, as in `subprocess`."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):
        os.write(told, str(code).encode())
    os.close(told)


def _become(folder: str, environment: dict[str, str], descriptors: Sequence[int]) -> None:
    """Make this a process with this folder, these variables and these standard streams."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, 1 << 16)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    is_unbuffered = bool(environment.get("PYTHONUNBUFFERED"))
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        standard = getattr(sys, name)
        encoding = environment.get("PYTHONIOENCODING", standard.encoding)
        stream = open(number, mode, encoding=encoding, errors=standard.errors, closefd=False)  # noqa: SIM115 - it stays open
        if mode == "w" and (number == 2 or is_unbuffered):
            stream.reconfigure(line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _run(program: list[str]) -> None:
    """Run the entry point, as the interpreter does when it starts."""
    sys.argv = program
    if program[0] == "cometify":
        sys.path[0] = str(Path.cwd())
        runpy.run_module("cometify", run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(program[0]).parent)
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    for module in PRELOADED:
        import_module(module)
    assert "twisted.internet.reactor" not in sys.modules, "a fork would share its reactor with all others"
    gc.collect()
    gc.freeze()
    to_run = _serve(socket.socket(fileno=int(sys.argv[1])))
    if to_run is not None:
        _run(to_run)
