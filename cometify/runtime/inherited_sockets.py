"""Listening sockets that another process has opened: systemd, or the supervisor of workers.

An endpoint whose address is that of such a socket uses it, and does not open one. So the configuration stays as it is, and
every kind of endpoint works that listens on TCP. The socket stays open while the process is replaced: connections wait in the
kernel meanwhile, and none is refused. Two processes that have the same socket both accept connections from it.

systemd passes its sockets as the descriptors from 3 on, and tells their number and the process that they are meant for
(sd_listen_fds(3)).
"""

import os
import socket
from collections.abc import Iterable
from pathlib import Path

FIRST = 3
"""The first descriptor that is passed on."""
_ENVIRONMENT = Path("/proc/self/environ")
_EVERYWHERE = {"": "0.0.0.0"}  # noqa: S104 - the address of a socket that is found, not one to bind
"""The address of an endpoint that names none."""


class InheritedSockets:
    """The sockets behind some descriptors. They stay open as long as the process lives. Others than TCP are left alone."""

    def __init__(self, descriptors: Iterable[int] = ()) -> None:
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._used: set[tuple[str, int]] = set()
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            one = socket.socket(fileno=descriptor)
            if one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM:
                self._sockets[one.getsockname()[:2]] = one
            else:
                one.detach()

    @classmethod
    def of_systemd(cls) -> "InheritedSockets":
        """Take the sockets that systemd passes to this process, if there are any."""
        if not _ENVIRONMENT.exists():  # a chroot without /proc, or a system that has no systemd either
            return cls()
        # Twisted deletes the variables from os.environ when its endpoints are imported. The kernel still has them.
        variables = dict(line.partition(b"=")[::2] for line in _ENVIRONMENT.read_bytes().split(b"\0"))
        if variables.get(b"LISTEN_PID") != b"%d" % os.getpid():
            return cls()
        return cls.numbered(int(variables.get(b"LISTEN_FDS", b"0")))

    @classmethod
    def numbered(cls, count: int) -> "InheritedSockets":
        """Take so many descriptors, from `FIRST` on."""
        return cls(range(FIRST, FIRST + count))

    def __len__(self) -> int:
        return len(self._sockets)

    def find(self, port: int, interface: str) -> socket.socket | None:
        """Return the socket that listens at an address, or None."""
        address = (_EVERYWHERE.get(interface, interface), port)
        found = self._sockets.get(address)
        if found is not None:
            self._used.add(address)
        return found

    def descriptors(self) -> dict[int, int]:
        """The descriptors of a child process that takes them with `numbered`, each with the descriptor here."""
        return {FIRST + at: one.fileno() for at, one in enumerate(self._sockets.values())}

    def unused(self) -> list[str]:
        """The addresses of sockets that no endpoint has found. Connections to them would wait for ever."""
        return [f"{host}:{port}" for host, port in self._sockets if (host, port) not in self._used]
