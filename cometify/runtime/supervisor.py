"""Several worker processes on one machine: the supervisor starts, replaces and ends them.

The supervisor is the process that the user started. It opens the service's ports, and its workers accept from them. Two pipes
lead to each worker:

- The supervisor writes settings to the worker's standard input, one JSON object a line: at the start, and whenever the
  accounts change. The end of that input tells the worker to drain and to exit. No worker outlives its supervisor that
  way, because the kernel closes the pipe however the supervisor ends.
- The worker writes its log to its standard output, one event a line, and the supervisor logs these events. Every second it
  writes an empty line there, as a sign of life.
"""

import json
import os
from collections.abc import Callable, Iterable

import attrs
from twisted.application.service import MultiService
from twisted.internet import defer
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from cometify.config.accounts import Accounts
from cometify.config.difference import Difference
from cometify.config.last_reload import LastReload
from cometify.config.settings import Settings
from cometify.config.settings_file import as_table
from cometify.runtime.connection_counts import ConnectionCounts
from cometify.runtime.inherited_sockets import InheritedSockets
from cometify.runtime.launcher import COMMAND, Launcher
from cometify.runtime.periodic_task import PeriodicTask
from cometify.runtime.ports import SharedPorts, read_certificates
from cometify.runtime.reactor import Reactor
from cometify.runtime.signs_of_life import LOOK_EVERY
from cometify.runtime.socket_folder import SocketFolder
from cometify.runtime.worker_process import WorkerProcess

log = Logger()

SETTLED = 60
"""Seconds of life after which the death of a worker counts as the first of a row again."""
LONGEST_WAIT = 30
"""Most seconds between the death of a worker that keeps dying and its next start."""
GRACE = 5
"""Seconds beyond `drain` after which a worker that still runs is killed."""


class Supervisor(MultiService):
    """Keeps `settings.workers` processes alive. Calls `up` when the first of them is ready.

    `command`: that of the process that starts them (`Launcher`). `inherited`: listening sockets that all workers get.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Reactor,
        up: Callable[[], None] = lambda: None,
        command: Iterable[str] = COMMAND,
        inherited: InheritedSockets | None = None,
    ) -> None:
        super().__init__()
        self._settings = settings
        self.accounts = Accounts(settings.accounts, is_complete=settings.account_store is None)
        self.last_reload = LastReload()
        self.reload: Callable[[bool], Difference] | None = None
        self.replace_accounts: Callable[[Settings], None] = lambda settings: self.accounts.replace(settings.accounts)
        self._reactor = reactor
        self._up: Callable[[], None] | None = up
        self._launcher = Launcher(reactor, command)
        self._inherited = inherited or InheritedSockets()
        self._ports = SharedPorts(reactor, settings, self._inherited)
        self._counts = ConnectionCounts.of_none(settings.workers)
        self._folder = SocketFolder()
        self._calls: dict[int, IDelayedCall] = {}
        self.workers: list[WorkerProcess] = []
        self.draining = False
        self._gone: defer.Deferred[None] = defer.Deferred()
        self._looked_at = 0.0
        self._look = PeriodicTask("looking for silent workers", LOOK_EVERY, self._check_workers, reactor)

    def privilegedStartService(self) -> None:
        self._ports.open()
        super().privilegedStartService()

    def startService(self) -> None:
        super().startService()
        folder = self._folder.path()
        self.workers = [
            WorkerProcess(number, folder / str(number), self) for number in range(1, self._settings.workers + 1)
        ]
        self._reactor.callWhenRunning(self._start_all)
        self._looked_at = self.seconds()
        self._look.start()

    def seconds(self) -> float:
        """Seconds of a clock that never goes back."""
        return self._reactor.seconds()

    def _check_workers(self) -> None:
        late = self.seconds() - self._looked_at - LOOK_EVERY
        self._looked_at = self.seconds()
        for worker in self.workers:
            if late > LOOK_EVERY:
                worker.signs.excuse(late)  # this process did not run, so that it has not read their signs
            elif not self.draining:
                worker.check(self._settings.worker_timeout)
                self._check_socket(worker)

    def _check_socket(self, worker: WorkerProcess) -> None:
        """Have a worker listen again if its socket was there and has gone."""
        try:
            path = self._folder.path() / str(worker.number)
        except OSError:
            return  # there is no folder for temporary files, which the log tells once a worker has to start
        if worker.socket == path and os.path.lexists(path):
            worker.has_listened = True
        elif worker.has_listened:
            worker.has_listened = False
            worker.socket = path
            worker.send(self._settings_for(worker))

    def answers(self) -> bool:
        """Return True if at least one worker has given a sign of life just now."""
        now = self.seconds()
        return any(worker.pid is not None and not worker.signs.silence(now) for worker in self.workers)

    def _start_all(self) -> None:
        for worker in self.workers:
            self._start(worker)

    def _start(self, worker: WorkerProcess) -> None:
        self._calls.pop(worker.number, None)
        worker.began = self._reactor.seconds()
        worker.has_listened = False
        try:
            worker.socket = self._folder.path() / str(worker.number)
            worker.socket.unlink(missing_ok=True)
        except OSError as reason:
            worker.not_started(str(reason.strerror))
            return
        sockets, opened = self._inherited.descriptors()
        arguments = [str(worker.number), str(worker.socket.parent), str(len(sockets))]
        worker.is_starting = True
        self._launcher.start(worker, arguments, [self._counts.descriptor, *sockets, *opened])

    def started(self, worker: WorkerProcess) -> None:
        """Tell a new process what to serve, or that there is nothing to serve any more."""
        if self.draining:
            worker.end()
        else:
            worker.send(self._settings_for(worker))

    def _settings_for(self, worker: WorkerProcess) -> bytes:
        admin = f"unix:{quoteStringArgument(str(worker.socket))}:mode=600:lockfile=0"
        # Only the supervisor reaches that socket, and it has asked for the token already.
        own = attrs.evolve(self._settings, admin=admin, workers=1, admin_token_file=None)
        return json.dumps(as_table(own)).encode() + b"\n"

    def read_certificates(self) -> None:
        """Read the certificates of the admin endpoint again. Each worker reads its own."""
        read_certificates(self)

    def change_accounts(self, settings: Settings) -> None:
        """Give the accounts of `settings` to all workers, and to those that will start later."""
        self.replace_accounts(settings)
        self._settings = attrs.evolve(self._settings, accounts=settings.accounts, defaults=settings.defaults)
        for worker in self.workers:
            worker.send(self._settings_for(worker))

    def serves(self) -> None:
        """Note that a worker is ready."""
        call, self._up = self._up, None
        if call is not None:
            call()

    def ended(self, worker: WorkerProcess, pid: int | None, how: str) -> None:
        """Start another process for a worker whose process has ended, at once or after a while."""
        self._counts.forget(worker.number)
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

        Each worker accepts the connections that wait, and closes its ports. The last one closes them for good, because they
        are closed here.
        """
        self.draining = True
        self._inherited.close_opened()
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()
        self._launcher.close()
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
        self._launcher.kill()

    def _check_gone(self) -> None:
        if not self._gone.called and all(worker.pid is None and not worker.is_starting for worker in self.workers):
            self._gone.callback(None)

    def _clear_up(self, _gone: None, patience: IDelayedCall) -> None:
        self._look.stop()
        if patience.active():
            patience.cancel()
        self._folder.remove()
