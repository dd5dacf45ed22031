"""One of several workers: `python -m cometify.app.worker NUMBER FOLDER`, started by `cometify.runtime.supervisor` alone.

It is a whole server. Its settings come from its standard input, whose end tells it to drain and to go; what it logs
goes to its standard output as JSON, an event a line.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.logger import Logger, globalLogBeginner, jsonFileLogObserver
from twisted.python.failure import Failure
from zope.interface import implementer

from cometify.app.service import Cometify, ports_of
from cometify.config.settings import Settings, SettingsError, read_table
from cometify.engine.clock import engine_clock
from cometify.runtime.epoll_loop import install_direct_poll
from cometify.runtime.gc_pauses import keep_pauses_short
from cometify.runtime.ports import Ports
from cometify.runtime.tcp import SharedPort

log = Logger("cometify.app.worker")  # and not __main__

INPUT, OUTPUT = 0, 1
PATIENCE = 2
"""Seconds that a worker waits at most for its engine before it listens."""


@implementer(IReadDescriptor)
class SupervisorPipe:
    """Reads the standard input, and does what it says."""

    def __init__(self, reactor: Any) -> None:
        self.failed = False
        self.orphaned = False
        """Nobody will come after this process, or clear up."""
        self._reactor = reactor
        self._server: Cometify | None = None
        self._said = b""

    def fileno(self) -> int:
        return INPUT

    def logPrefix(self) -> str:
        return "worker"

    def connectionLost(self, reason: Failure) -> None:
        """The supervisor has closed it, or is no more. The reactor calls this at its own end, too."""
        with suppress(ReactorNotRunning):
            self._reactor.stop()
            self.orphaned = True

    def doRead(self) -> Any:
        data = os.read(INPUT, 1 << 16)
        if not data:
            return CONNECTION_DONE
        *lines, self._said = (self._said + data).split(b"\n")
        for line in lines:
            self._told(line)
        return None

    def _told(self, line: bytes) -> None:
        try:
            settings = read_table(json.loads(line))
            if self._server is None:
                self._server = self._begin(settings)
            else:
                self._server.change_accounts(settings)
        except SettingsError as error:
            self._fail(error)

    def _begin(self, settings: Settings) -> Cometify:
        server = Cometify(settings, self._reactor, engine_clock(), loop_hooks=install_direct_poll(self._reactor))
        ports = ports_of(server, self._reactor, SharedPort)
        server.startService()
        self._reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
        self._open(server, ports, self._reactor.seconds() + PATIENCE)
        return server

    def _open(self, server: Cometify, ports: Ports, until: float) -> None:
        """Listen once the engine is there: until then the others have all who come. But not much later."""
        if not server.engine.available and self._reactor.seconds() < until:
            self._reactor.callLater(0.02, self._open, server, ports, until)
        elif server.running:
            try:
                ports.setServiceParent(server)
            except SystemExit as error:  # somebody has taken a port since the supervisor looked
                self._fail(error)
            else:
                log.info("Serves", serves=True)

    def _fail(self, error: BaseException) -> None:
        log.error("{error}", error=str(error))
        self.failed = True
        self._reactor.removeReader(self)
        self._reactor.stop()


def main() -> int:
    """The exit code."""
    # These go to all processes of a terminal; the supervisor is the one to act on them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from twisted.internet import reactor  # noqa: PLC0415 - see service.makeService

    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    # Written at once, and not by the reactor: what a process says last must be read too. A copy, for what is printed
    # becomes an event as well.
    out = os.fdopen(os.dup(OUTPUT), "w", buffering=1, encoding="utf-8")
    globalLogBeginner.beginLoggingTo([jsonFileLogObserver(out, recordSeparator="")])
    worker = SupervisorPipe(reactor)
    reactor.callWhenRunning(reactor.addReader, worker)
    reactor.callWhenRunning(keep_pauses_short, reactor)
    reactor.run()
    if worker.orphaned:
        with suppress(OSError):  # the last one finds it empty
            Path(sys.argv[2]).rmdir()
    return int(worker.failed)


if __name__ == "__main__":
    raise SystemExit(main())
