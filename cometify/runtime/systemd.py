"""Messages to systemd (sd_notify): the state of the service, and the watchdog.

systemd names a datagram socket in NOTIFY_SOCKET if the unit says `Type=notify`. Each message is a few lines `NAME=value`.
Without that variable nothing is sent. sd_notify(3) describes the messages. A library is not needed, because this is all of it.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping

from twisted.logger import Logger

from cometify.runtime.periodic_task import PeriodicTask
from cometify.runtime.reactor import Reactor

log = Logger()


class Systemd:
    """`environment`: that of the process. `is_well()`: returns False while the watchdog must not be told that all is well."""

    def __init__(self, reactor: Reactor, environment: Mapping[str, str], is_well: Callable[[], bool]) -> None:
        self._where = environment.get("NOTIFY_SOCKET", "")
        self._is_well = is_well
        self._is_ready = False
        seconds = _watchdog_seconds(environment) if self._where else 0.0
        # Twice as often as systemd asks for, as sd_watchdog_enabled(3) recommends.
        self._watchdog = PeriodicTask("watchdog", seconds / 2, self._ping, reactor) if seconds else None

    def start(self) -> None:
        """Begin to tell the watchdog that all is well."""
        if self._watchdog is not None:
            self._watchdog.start()

    def ready(self) -> None:
        """Tell that the service is ready, or has been reloaded."""
        self._is_ready = True
        self._send("READY=1")

    def reloading(self) -> None:
        """Tell that the configuration is being read again. `ready` ends this."""
        if self._is_ready:  # before that, the end of a reload would be taken for the end of the start
            self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def reloaded(self) -> None:
        """Tell that the configuration has been read again."""
        if self._is_ready:
            self.ready()

    def stopping(self) -> None:
        """Tell that the service drains. The watchdog is told that all is well until the process ends."""
        self._send("STOPPING=1")

    def _ping(self) -> None:
        if self._is_well():
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._where:
            return
        # A name that begins with @ is in the abstract namespace, where it begins with a NUL.
        where = "\0" + self._where[1:] if self._where.startswith("@") else self._where
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.setblocking(False)
                notify.sendto("\n".join(lines).encode(), where)
        except OSError as error:
            log.warn(  # noqa: G010 - this is Twisted's
                "systemd could not be told {line}: {error}", line=lines[0], error=error.strerror
            )


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """The seconds within which systemd must hear from this process, 0 if it need not."""
    microseconds, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not (microseconds.isascii() and microseconds.isdigit()) or (pid and pid != str(os.getpid())):
        return 0.0
    return int(microseconds) / 1_000_000
