"""A process that this process collects, and the three pipes to it.

Twisted's `spawnProcess` knows only processes that it has started itself. A worker is forked by another process
(`cometify.app.launcher`), and becomes a child of this one.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, cast

from attrs import frozen
from twisted.internet.abstract import FileDescriptor
from twisted.internet.fdesc import readFromFD, writeToFD
from twisted.internet.interfaces import IReactorFDSet
from twisted.python.failure import Failure

from cometify.runtime.reactor import Reactor

LOOK_AGAIN = 0.02
"""Seconds until the next attempt to collect a process that has closed its outputs. The kernel closes them a moment before."""


class ProcessOwner(Protocol):
    """Whoever hears of a process."""

    def started(self, process: "ChildProcess") -> None:
        """Note that the process runs."""

    def not_started(self, why: str) -> None:
        """Note that there will be no process. `why`: in the log's words."""

    def out_received(self, data: bytes) -> None:
        """Take what the process has written to its standard output."""

    def err_received(self, data: bytes) -> None:
        """Take what the process has written to its standard error."""

    def process_ended(self, code: int | None) -> None:
        """Note that the process has ended. See `describe_end` for the code."""


def describe_end(code: int | None) -> str:
    """Say in the log's words how a process ended. `code`: its exit code, or less than 0 for a signal. None: nobody knows."""
    if code is None:
        return "ended, and its exit code is not known"
    return f"ended with exit code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"


@frozen
class Pipes:
    """The descriptors of this process's ends of the pipes to another process. Each is closed by whoever has it."""

    input: int
    output: int
    errors: int

    @classmethod
    def opened(cls) -> tuple["Pipes", list[int]]:
        """Open them. Returns these ends and those of the other process, in the order of the fields. Raises OSError."""
        descriptors: list[int] = []
        try:
            for _ in range(3):
                descriptors += os.pipe()
        except OSError:
            close_all(descriptors)
            raise
        theirs_in, ours_in, ours_out, theirs_out, ours_err, theirs_err = descriptors
        return cls(ours_in, ours_out, ours_err), [theirs_in, theirs_out, theirs_err]

    def close(self) -> None:
        """Close them, because there is no process."""
        close_all([self.input, self.output, self.errors])


def close_all(descriptors: list[int]) -> None:
    """Close some descriptors."""
    for descriptor in descriptors:
        os.close(descriptor)


class _PipeEnd(FileDescriptor):
    """One end of a pipe: that of this process."""

    connected = True

    def __init__(self, reactor: Reactor, descriptor: int) -> None:
        super().__init__(cast("IReactorFDSet", reactor))
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        return self._descriptor

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        os.close(self._descriptor)


class _Writer(_PipeEnd):
    def writeSomeData(self, data: bytes) -> int | Exception:
        return cast("int | Exception", writeToFD(self._descriptor, data))


class _Reader(_PipeEnd):
    def __init__(
        self, reactor: Reactor, descriptor: int, received: Callable[[bytes], None], ended: Callable[[], None]
    ) -> None:
        super().__init__(reactor, descriptor)
        self._received = received
        self._ended = ended
        self.startReading()

    def doRead(self) -> Exception | None:
        return cast("Exception | None", readFromFD(self._descriptor, self._received))

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        self._ended()


class ChildProcess:
    """A child that another process has forked. Its owner hears what it writes, and that it has ended once all is read."""

    def __init__(self, reactor: Reactor, pid: int, pipes: Pipes, owner: ProcessOwner) -> None:
        self.pid = pid
        self._reactor = reactor
        self._owner = owner
        self._open = 2
        self._input = _Writer(reactor, pipes.input)
        _Reader(reactor, pipes.output, owner.out_received, self._output_ended)
        _Reader(reactor, pipes.errors, owner.err_received, self._output_ended)

    def write(self, data: bytes) -> None:
        """Write to the standard input of the process. Does nothing once the input is closed."""
        if not self._input.disconnecting:
            self._input.write(data)

    def close_input(self) -> None:
        """Close the standard input of the process behind what was written."""
        self._input.loseConnection()

    def kill(self) -> None:
        """Kill the process. Its number cannot be that of another one, because only `_collect` frees it."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _output_ended(self) -> None:
        self._open -= 1
        if not self._open:
            self._collect()

    def _collect(self) -> None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # another part of this program collects children too
            self._input.loseConnection()
            self._owner.process_ended(None)
            return
        if not pid:
            self._reactor.callLater(LOOK_AGAIN, self._collect)
            return
        self._input.loseConnection()
        self._owner.process_ended(os.waitstatus_to_exitcode(status))
