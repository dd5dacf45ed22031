"""One of several workers: `python -m cometify.worker NUMBER FOLDER`, which `cometify.supervisor` starts and nobody else.

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

from cometify.net import SharedPort
from cometify.service import Cometify, build
from cometify.settings import SettingsError, read_table

log = Logger("cometify.worker")  # and not __main__

INPUT, OUTPUT = 0, 1


@implementer(IReadDescriptor)
class Worker:
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
                self._begin(build(settings, self._reactor, port=SharedPort))
            else:
                self._server.change_accounts(settings)
        except (SettingsError, SystemExit) as error:  # at another moment than the supervisor's own look
            log.error("{error}", error=str(error))  # noqa: TRY400 - the reason is in the line
            self.failed = True
            self._reactor.removeReader(self)
            self._reactor.stop()

    def _begin(self, server: Cometify) -> None:
        server.privilegedStartService()
        server.startService()
        self._reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
        self._server = server
        log.info("Serves", serves=True)


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
    worker = Worker(reactor)
    reactor.callWhenRunning(reactor.addReader, worker)
    reactor.run()
    if worker.orphaned:
        with suppress(OSError):  # the last one finds it empty
            Path(sys.argv[2]).rmdir()
    return int(worker.failed)


if __name__ == "__main__":
    raise SystemExit(main())
