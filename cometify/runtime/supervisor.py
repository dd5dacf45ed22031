"""Several worker processes on one machine: started, replaced when they die, told of new accounts, and ended.

The process that the user has started holds none of the service's ports. What it has to say to a worker goes down the
worker's standard input, one JSON object a line: the settings, first of all and whenever the accounts have changed. The
end of that input tells a worker to drain and to go, so none outlives the process that would replace it, however that
one ends. What a worker logs comes up its standard output, an event a line, and is logged here.
"""

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import MultiService
from twisted.internet import defer, error
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger, eventFromJSON, globalLogPublisher
from twisted.python.failure import Failure

from cometify.config.settings import Settings, as_table
from cometify.runtime.ports import SharedPorts

log = Logger()

COMMAND = (sys.executable, "-m", "cometify.app.worker")
SETTLED = 60
"""Seconds that a worker must have lived for its death to be the first one again."""
LONGEST_WAIT = 30
"""Seconds between the deaths of a worker that keeps dying and the next try, at most."""
GRACE = 5
"""Seconds beyond `drain` after which a worker that is still there is killed."""


class WorkerProcess(ProcessProtocol):
    """The place of one worker: a process is in it, or another will soon be. `socket`: its admin endpoint's path."""

    transport: Any

    def __init__(self, number: int, socket: Path, supervisor: "Supervisor") -> None:
        self.number = number
        self.socket = socket
        self.deaths = 0
        """How many processes have died in this place; those that were told to end are not counted."""
        self.pid: int | None = None
        self.failed = 0
        """How many of them died one soon after the other."""
        self.began = 0.0
        self._supervisor = supervisor
        self._out = self._err = b""

    def told(self, line: bytes) -> None:
        """Write a line to the process's standard input."""
        if self.pid is not None:
            self.transport.write(line)

    def end(self) -> None:
        """Tell the process to drain and to go."""
        if self.pid is not None:
            self.transport.closeStdin()

    def kill(self) -> None:
        """End the process now."""
        if self.pid is not None:
            with suppress(error.ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    def connectionMade(self) -> None:
        self.pid = self.transport.pid
        self._out = self._err = b""

    def outReceived(self, data: bytes) -> None:
        *lines, self._out = (self._out + data).split(b"\n")
        for line in lines:
            self._log(line)

    def errReceived(self, data: bytes) -> None:
        *lines, self._err = (self._err + data).split(b"\n")
        for line in lines:
            self._log_text(line)

    def _log(self, line: bytes) -> None:
        try:
            event = eventFromJSON(line.decode())
            name = event.get("log_system") or f"{event['log_namespace']}#{event['log_level'].name}"
        except (ValueError, KeyError, AttributeError, TypeError):
            self._log_text(line)
            return
        if event.pop("serves", False):
            self._supervisor.serves()
        event["log_system"] = f"worker {self.number}: {name}"
        globalLogPublisher(event)

    def _log_text(self, line: bytes) -> None:
        """What is no event comes from Python itself, or from a library that writes where it likes."""
        log.error("Worker {number}: {line}", number=self.number, line=line.decode(errors="replace"))

    def processEnded(self, reason: Failure) -> None:
        for line in filter(None, (self._out, self._err)):
            self._log_text(line)
        pid, self.pid = self.pid, None
        self._supervisor.ended(self, pid, how_it_ended(reason.value))


def how_it_ended(reason: Any) -> str:
    """As a reader of the log wants to have it."""
    if reason.signal is None:
        return f"ended with exit code {reason.exitCode}"
    return f"was killed by {signal.Signals(reason.signal).name}"


class Supervisor(MultiService):
    """Keeps `settings.workers` processes of `command` alive. `up` is called when the first of them serves."""

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        up: Callable[[], None] = lambda: None,
        command: Iterable[str] = COMMAND,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._reactor = reactor
        self._up: Callable[[], None] | None = up
        self._command = tuple(command)
        self._ports = SharedPorts(reactor, settings)
        self._folder: Path | None = None
        self._calls: dict[int, Any] = {}
        self.workers: list[WorkerProcess] = []
        self.draining = False
        self._gone: defer.Deferred[None] = defer.Deferred()

    def privilegedStartService(self) -> None:
        self._ports.check()
        super().privilegedStartService()

    def startService(self) -> None:
        super().startService()
        self._folder = Path(tempfile.mkdtemp(prefix="cometify-"))  # which nobody else can look into
        self.workers = [
            WorkerProcess(number, self._folder / str(number), self) for number in range(1, self._settings.workers + 1)
        ]
        self._reactor.callWhenRunning(self._start_all)

    def _start_all(self) -> None:
        for worker in self.workers:
            self._start(worker)

    def _start(self, worker: WorkerProcess) -> None:
        self._calls.pop(worker.number, None)
        worker.socket.unlink(missing_ok=True)
        worker.began = self._reactor.seconds()
        command = [*self._command, str(worker.number), str(worker.socket.parent)]
        try:
            self._reactor.spawnProcess(worker, command[0], command, env=None, childFDs={0: "w", 1: "r", 2: "r"})
        except OSError as reason:
            self.ended(worker, None, f"could not be started ({reason.strerror})")
            return
        worker.told(self._said_to(worker))

    def _said_to(self, worker: WorkerProcess) -> bytes:
        admin = f"unix:{quoteStringArgument(str(worker.socket))}:mode=600:lockfile=0"
        return json.dumps(as_table(attrs.evolve(self._settings, admin=admin, workers=1))).encode() + b"\n"

    def change_accounts(self, settings: Settings) -> None:
        """From now on the accounts of all workers, and of those that will come, are those of `settings`."""
        self._settings = attrs.evolve(self._settings, accounts=settings.accounts)
        for worker in self.workers:
            worker.told(self._said_to(worker))

    def serves(self) -> None:
        """A worker has begun to serve."""
        call, self._up = self._up, None
        if call is not None:
            call()

    def ended(self, worker: WorkerProcess, pid: int | None, how: str) -> None:
        """The process of a worker is gone."""
        if self.draining:
            self._look_whether_gone()
            return
        worker.deaths += 1
        if self._reactor.seconds() - worker.began >= SETTLED:
            worker.failed = 0
        worker.failed += 1
        wait = 0 if worker.failed == 1 else min(2 ** (worker.failed - 2), LONGEST_WAIT)
        log.error(
            "Worker {number} (pid {pid}) {how}. Another takes its place {when}.",
            number=worker.number,
            pid=pid,
            how=how,
            when=f"in {wait} s, for it is death number {worker.failed} in a row" if wait else "at once",
        )
        self._calls[worker.number] = self._reactor.callLater(wait, self._start, worker)

    def drain(self) -> "defer.Deferred[None]":
        """Tell all workers to drain and to go. Fires when they are gone, the last ones killed if it takes too long."""
        self.draining = True
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()
        alive = [worker for worker in self.workers if worker.pid is not None]
        log.info("Draining: {count} workers send their listeners away", count=len(alive))
        for worker in alive:
            worker.end()
        patience = self._reactor.callLater(self._settings.drain + GRACE, self._kill)
        self._look_whether_gone()
        return self._gone.addCallback(self._clear_up, patience)

    def _kill(self) -> None:
        for worker in self.workers:
            if worker.pid is not None:
                log.error(
                    "Worker {number} (pid {pid}) has not ended: it is killed", number=worker.number, pid=worker.pid
                )
                worker.kill()

    def _look_whether_gone(self) -> None:
        if not self._gone.called and all(worker.pid is None for worker in self.workers):
            self._gone.callback(None)

    def _clear_up(self, _gone: None, patience: Any) -> None:
        if patience.active():
            patience.cancel()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
