"""The command `cometify` as a process of its own, with its output line by line."""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from tests.conftest import PYTHONPATH, Server, fork_server

COMMAND = [sys.executable, "-m", "cometify"]
WITHIN = 60
"""Seconds after which a line counts as missing. It is long, because the machine may be busy."""


def environment(**variables: str) -> dict[str, str]:
    """Variables for a command that finds the package of the tests."""
    kept = {name: value for name, value in os.environ.items() if name != "COMETIFY_URL"}
    return {**kept, "PYTHONPATH": PYTHONPATH, "PYTHONIOENCODING": "utf-8", **variables}


class Program:
    """A running command, forked from a process that has its modules. Leaving the context kills it.

    `stdout`, `stderr`, `stdin`: descriptors, such as a terminal.
    """

    def __init__(
        self,
        *arguments: str,
        cwd: Path | None = None,
        reads: bool = True,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        stdin: int = subprocess.DEVNULL,
        **variables: str,
    ) -> None:
        given = environment(**variables)
        if Server.is_forked and fork_server().suits(given):
            self.process = fork_server().start(["cometify", *arguments], cwd, given, stdin, stdout, stderr)
        else:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments], cwd=cwd, env=given, stdout=stdout, stderr=stderr, stdin=stdin
            )
        self.errors: queue.Queue[str] = queue.Queue()
        self.lines: queue.Queue[str] = queue.Queue()
        self._threads = []
        if self.process.stderr is not None:
            self._threads.append(self._read(self.process.stderr, self.errors))
        if reads and self.process.stdout is not None:
            self._threads.append(self._read(self.process.stdout, self.lines))

    def _read(self, pipe: IO[bytes], lines: "queue.Queue[str]") -> threading.Thread:
        def read() -> None:
            for line in pipe:
                lines.put(line.decode().removesuffix("\n"))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def line(self) -> str:
        """The next line of standard output."""
        return self.lines.get(timeout=WITHIN)

    def error(self, part: str) -> str:
        """The next line of standard error that has this part."""
        while True:
            line = self.errors.get(timeout=WITHIN)
            if part in line:
                return line

    def end(self, how: signal.Signals | None = None) -> int:
        """Send a signal, and wait. Returns the exit status."""
        if how is not None:
            self.process.send_signal(how)
        status = self.process.wait(WITHIN)
        for thread in self._threads:
            thread.join(WITHIN)
        return status

    def rest(self) -> Iterator[str]:
        """Yield the lines that nobody has read."""
        while not self.lines.empty():
            yield self.lines.get()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_args: object) -> None:
        self.process.kill()
        self.process.wait(WITHIN)
        for thread in self._threads:
            thread.join(WITHIN)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
