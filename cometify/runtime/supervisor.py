"""Several worker processes on one machine: the supervisor starts, replaces and ends them.

The supervisor is the process that the user started. It holds none of the service's ports. Two pipes lead to each worker:

- The supervisor writes settings to the worker's standard input, one JSON object a line: at the start, and whenever the
  accounts change. The end of that input tells the worker to drain and to exit. No worker outlives its supervisor that
  way, because the kernel closes the pipe however the supervisor ends.
- The worker writes its log to its standard output, one event a line, and the supervisor logs these events.
"""

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import cast

import attrs
from twisted.application.service import MultiService
from twisted.internet import defer, error
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.interfaces import IDelayedCall, IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger, eventFromJSON, globalLogPublisher
from twisted.python.failure import Failure

from cometify.config.accounts import Accounts
from cometify.config.last_reload import LastReload
from cometify.config.settings import Settings
from cometify.config.settings_file import as_table
from cometify.runtime.ports import SharedPorts, read_certificates
from cometify.runtime.reactor import Reactor

log = Logger()

COMMAND = (sys.executable, "-m", "cometify.app.worker")
SETTLED = 60
"""Seconds of life after which the death of a worker counts as the first of a row again."""
LONGEST_WAIT = 30
"""Most seconds between the death of a worker that keeps dying and its next start."""
GRACE = 5
"""Seconds beyond `drain` after which a worker that still runs is killed."""


class WorkerProcess(ProcessProtocol):
    """One worker over all its lives: a process runs, or another will start soon. `socket`: the path of its admin endpoint."""

    transport: IProcessTransport

    def __init__(self, number: int, socket: Path, supervisor: "Supervisor") -> None:
        self.number = number
        self.socket = socket
        self.deaths = 0
        """Processes of this worker that have died. One that was told to end does not count."""
        self.pid: int | None = None
        self.failed = 0
        """Deaths in a row, each soon after the start."""
        self.began = 0.0
        self._supervisor = supervisor
        self._out = self._err = b""

    def send(self, line: bytes) -> None:
        """Write a line to the standard input of the process. Does nothing if the process is ending."""
        if self.pid is not None:
            # Twisted raises KeyError once the pipe is closed, which is before the end of the process is known.
            with suppress(KeyError):
                self.transport.writeToChild(0, line)

    def end(self) -> None:
        """Tell the process to drain and to exit."""
        if self.pid is not None:
            self.transport.closeStdin()

    def kill(self) -> None:
        """Kill the process."""
        if self.pid is not None:
            with suppress(error.ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    def connectionMade(self) -> None:
        self.pid = cast("int", self.transport.pid)
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
        """Log a line that is not an event: it comes from Python itself, or from a library that prints."""
        log.error("Worker {number}: {line}", number=self.number, line=line.decode(errors="replace"))

    def processEnded(self, reason: Failure) -> None:
        for line in filter(None, (self._out, self._err)):
            self._log_text(line)
        pid, self.pid = self.pid, None
        assert isinstance(reason.value, error.ProcessDone | error.ProcessTerminated)
        self._supervisor.ended(self, pid, describe_end(reason.value))


def describe_end(reason: error.ProcessDone | error.ProcessTerminated) -> str:
    """Say in the log's words how a process ended."""
    if reason.signal is None:
        return f"ended with exit code {reason.exitCode}"
    return f"was killed by {signal.Signals(reason.signal).name}"


class Supervisor(MultiService):
    """Keeps `settings.workers` processes of `command` alive. Calls `up` when the first of them serves."""

    def __init__(
        self,
        settings: Settings,
        reactor: Reactor,
        up: Callable[[], None] = lambda: None,
        command: Iterable[str] = COMMAND,
    ) -> None:
        super().__init__()
        self._settings = settings
        self.accounts = Accounts(settings.accounts, is_complete=settings.account_store is None)
        self.last_reload = LastReload()
        self._reactor = reactor
        self._up: Callable[[], None] | None = up
        self._command = tuple(command)
        self._ports = SharedPorts(reactor, settings)
        self._folder: Path | None = None
        self._calls: dict[int, IDelayedCall] = {}
        self.workers: list[WorkerProcess] = []
        self.draining = False
        self._gone: defer.Deferred[None] = defer.Deferred()

    def privilegedStartService(self) -> None:
        self._ports.check()
        super().privilegedStartService()

    def startService(self) -> None:
        super().startService()
        # mkdtemp makes a folder that no other user can read. It holds the workers' admin sockets.
        self._folder = Path(tempfile.mkdtemp(prefix="cometify-"))
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
        worker.send(self._settings_for(worker))

    def _settings_for(self, worker: WorkerProcess) -> bytes:
        admin = f"unix:{quoteStringArgument(str(worker.socket))}:mode=600:lockfile=0"
        return json.dumps(as_table(attrs.evolve(self._settings, admin=admin, workers=1))).encode() + b"\n"

    def read_certificates(self) -> None:
        """Read the certificates of the admin endpoint again. Each worker reads its own."""
        read_certificates(self)

    def change_accounts(self, settings: Settings) -> None:
        """Give the accounts of `settings` to all workers, and to those that will start later."""
        self.accounts.replace(settings.accounts)
        self._settings = attrs.evolve(self._settings, accounts=settings.accounts, defaults=settings.defaults)
        for worker in self.workers:
            worker.send(self._settings_for(worker))

    def serves(self) -> None:
        """Note that a worker has begun to serve."""
        call, self._up = self._up, None
        if call is not None:
            call()

    def ended(self, worker: WorkerProcess, pid: int | None, how: str) -> None:
        """Start another process for a worker whose process has ended, at once or after a while."""
        if self.draining:
            self._check_gone()
            return
        worker.deaths += 1
        if self._reactor.seconds() - worker.began >= SETTLED:
            worker.failed = 0
        worker.failed += 1
        wait = 0 if worker.failed == 1 else min(2 ** (worker.failed - 2), LONGEST_WAIT)
        log.error(
            "Worker {number} (pid {pid}) {how}. A new process starts {when}.",
            number=worker.number,
            pid=pid,
            how=how,
            when=f"in {wait} s, because this was death number {worker.failed} in a row" if wait else "at once",
        )
        self._calls[worker.number] = self._reactor.callLater(wait, self._start, worker)

    def drain(self, _close_ports: object = None) -> "defer.Deferred[None]":
        """Tell all workers to drain and to exit. Fires when all are gone. One that takes too long is killed.

        Each worker closes its own ports.
        """
        self.draining = True
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()
        alive = [worker for worker in self.workers if worker.pid is not None]
        log.info("Draining: {count} workers send their listeners away", count=len(alive))
        for worker in alive:
            worker.end()
        patience = self._reactor.callLater(self._settings.drain + GRACE, self._kill)
        self._check_gone()
        return self._gone.addCallback(self._clear_up, patience)

    def _kill(self) -> None:
        for worker in self.workers:
            if worker.pid is not None:
                log.error(
                    "Worker {number} (pid {pid}) did not exit in time and is killed",
                    number=worker.number,
                    pid=worker.pid,
                )
                worker.kill()

    def _check_gone(self) -> None:
        if not self._gone.called and all(worker.pid is None for worker in self.workers):
            self._gone.callback(None)

    def _clear_up(self, _gone: None, patience: IDelayedCall) -> None:
        if patience.active():
            patience.cancel()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
