"""One of several workers, in a process that `cometify.app.launcher` has forked for `cometify.runtime.supervisor`.

A worker is a whole server. It reads its settings from standard input. The end of that input tells it to drain and to
exit. It writes its log to standard output as JSON, one event a line.
"""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.logger import ILogObserver, Logger, globalLogBeginner, jsonFileLogObserver
from twisted.python.failure import Failure
from zope.interface import implementer

from cometify.app.impossible import log_impossible_transitions
from cometify.app.log_format import formatted
from cometify.app.readiness import when_ready
from cometify.app.server import Cometify
from cometify.app.service import ports_of
from cometify.config.settings import Settings, SettingsError
from cometify.config.settings_file import read_table
from cometify.engine.clock import engine_clock
from cometify.runtime.connection_counts import ConnectionShare
from cometify.runtime.epoll_loop import install_direct_poll
from cometify.runtime.gc_pauses import keep_pauses_short
from cometify.runtime.inherited_sockets import InheritedSockets
from cometify.runtime.name_lookup import PluggableReactor, look_up_in_own_threads
from cometify.runtime.periodic_task import PeriodicTask
from cometify.runtime.ports import Ports
from cometify.runtime.reactor import Reactor
from cometify.runtime.signs_of_life import LOOK_EVERY, give_sign

log = Logger()

INPUT, OUTPUT = 0, 1
"""File descriptors of standard input and standard output."""
WAIT_FOR_ENGINE = 2
"""Most seconds that a worker waits for its engine before it listens. The other workers serve meanwhile."""


@implementer(IReadDescriptor)
class SupervisorPipe:
    """Standard input: each line is the settings as a JSON table. The first starts the server, later ones change accounts."""

    def __init__(self, reactor: Reactor, inherited: InheritedSockets, share: ConnectionShare) -> None:
        self.failed = False
        """The server could not start; the exit code is 1."""
        self.orphaned = False
        """The supervisor has gone, so this process cleans up by itself."""
        self._reactor = reactor
        self._inherited = inherited
        self._share = share
        self._server: Cometify | None = None
        self._ports: Ports | None = None
        self._unread = b""

    def fileno(self) -> int:
        return INPUT

    def logPrefix(self) -> str:
        return "worker"

    def connectionLost(self, reason: Failure) -> None:
        """Stop the reactor, because the supervisor closed the pipe. The reactor also calls this when it stops itself."""
        with suppress(ReactorNotRunning):
            self._reactor.stop()
            self.orphaned = True

    def doRead(self) -> Failure | None:
        data = os.read(INPUT, 1 << 16)
        if not data:
            return cast("Failure", CONNECTION_DONE)  # Readers return the exception, whatever the interface says.
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._apply(line)
        return None

    def _apply(self, line: bytes) -> None:
        try:
            settings = read_table(json.loads(line))
            if self._server is None or self._ports is None:
                self._server, self._ports = self._begin(settings)
            else:
                self._ports.read_certificates()
                self._ports.replace_admin(settings.admin)
                self._server.change_accounts(settings)
        except SettingsError as error:
            self._fail(error)

    def _begin(self, settings: Settings) -> tuple[Cometify, Ports]:
        server = Cometify(settings, self._reactor, engine_clock(), loop_hooks=install_direct_poll(self._reactor))
        server.last_reload.at = 0  # the supervisor reads the file, and tells when
        ports = ports_of(server, self._reactor, self._share, self._inherited)
        server.startService()
        self._reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
        self._listen(server, ports, self._reactor.seconds() + WAIT_FOR_ENGINE)
        return server, ports

    def _listen(self, server: Cometify, ports: Ports, until: float) -> None:
        """Listen once the engine and the accounts are there, or at `until`. The other workers get all connections before."""
        if not (server.engine.available and server.accounts.is_complete) and self._reactor.seconds() < until:
            self._reactor.callLater(0.02, self._listen, server, ports, until)
        elif server.running:
            try:
                ports.setServiceParent(server)
            except SystemExit as error:  # Another process took a port after the supervisor had tried it.
                self._fail(error)
            else:
                when_ready(self._reactor, server.why_not_ready, lambda: log.info("Serves", serves=True))

    def _fail(self, error: BaseException) -> None:
        log.error("{error}", error=str(error))
        self.failed = True
        self._reactor.removeReader(self)
        with suppress(ReactorNotRunning):  # The supervisor stops too, and has closed the pipe behind these settings.
            self._reactor.stop()


def main(arguments: Sequence[str], descriptors: Sequence[int]) -> int:
    """Run a worker until the supervisor closes the pipe. Returns the exit code.

    `arguments`: the worker's number, the folder of its socket, and how many sockets the supervisor has inherited itself.
    `descriptors`: the memory of the connections' numbers, these sockets, and those that the supervisor has opened.
    """
    number, folder, inherited = int(arguments[0]), Path(arguments[1]), 1 + int(arguments[2])
    with suppress(OSError):  # a chroot without /proc
        Path("/proc/self/comm").write_text(f"cometify-{number}")  # all have one command line, that of the launcher
    from twisted.internet import reactor as chosen  # noqa: PLC0415 - See service.makeService.

    log_impossible_transitions()
    reactor = cast("PluggableReactor", chosen)
    look_up_in_own_threads(reactor)
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    # Log lines are written at once and not by the reactor, because the last lines of a process matter most. They go to a
    # copy of the descriptor, because twistd's log replaces sys.stdout and makes an event of whatever is printed.
    out = os.fdopen(os.dup(OUTPUT), "w", buffering=1, encoding="utf-8")
    globalLogBeginner.beginLoggingTo([cast("ILogObserver", formatted(jsonFileLogObserver(out, recordSeparator="")))])
    signs = PeriodicTask("signs of life", LOOK_EVERY, lambda: give_sign(OUTPUT), reactor)
    reactor.callWhenRunning(signs.start)
    share = ConnectionShare.inherited(number, descriptors[0])
    pipe = SupervisorPipe(reactor, InheritedSockets(descriptors[1:inherited], descriptors[inherited:]), share)
    reactor.callWhenRunning(reactor.addReader, pipe)
    reactor.callWhenRunning(keep_pauses_short, reactor)
    reactor.run()
    if pipe.orphaned:
        with suppress(OSError):  # Only the last worker finds the folder empty.
            folder.rmdir()
    return int(pipe.failed)
