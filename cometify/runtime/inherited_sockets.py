"""Listening sockets that another process has opened: systemd, or the supervisor of workers.

An endpoint whose address is that of such a socket uses it, and does not open one. So the configuration stays as it is, and
every kind of endpoint works that listens on TCP. The socket stays open while the process is replaced: connections wait in the
kernel meanwhile, and none is refused. Two processes that have the same socket both accept connections from it.

systemd passes its sockets as the descriptors from 3 on, and tells their number and the process that they are meant for
(sd_listen_fds(3)).

The supervisor opens a socket for each other address of its workers, so that all of them accept from one queue. It keeps such a
socket as long as there are workers.
"""

import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twisted.internet.abstract import isIPv6Address

from cometify.config.settings import SettingsError

FIRST = 3
"""The first descriptor that systemd passes on."""
_COUNT = re.compile(rb"[0-9]{1,9}")
_ENVIRONMENT = Path("/proc/self/environ")


class InheritedSockets:
    """The sockets behind some descriptors. They stay open as long as the process lives. Others than TCP are left alone."""

    def __init__(self, descriptors: Iterable[int] = (), opened: Iterable[int] = ()) -> None:
        """`opened`: sockets that a supervisor has opened. Nobody accepts from them once its workers have ended."""
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._used: set[tuple[str, int]] = set()
        self._opened: dict[tuple[str, int], socket.socket] = {}
        for descriptor in descriptors:
            self._take(descriptor, self._sockets)
        for descriptor in opened:
            self._take(descriptor, self._opened)

    def _take(self, descriptor: int, into: dict[tuple[str, int], socket.socket]) -> None:
        os.set_inheritable(descriptor, False)
        one = socket.socket(fileno=descriptor)
        if one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM:
            into[one.getsockname()[:2]] = one
        else:
            one.detach()

    @classmethod
    def of_systemd(cls) -> "InheritedSockets":
        """Take the sockets that systemd passes to this process, if there are any. Raises `SettingsError`."""
        if not _ENVIRONMENT.exists():  # a chroot without /proc, or a system that has no systemd either
            return cls()
        # Twisted deletes the variables from os.environ when its endpoints are imported. The kernel still has them.
        variables = dict(line.partition(b"=")[::2] for line in _ENVIRONMENT.read_bytes().split(b"\0"))
        if variables.get(b"LISTEN_PID") != b"%d" % os.getpid():
            return cls()
        count = variables.get(b"LISTEN_FDS", b"0")
        if not _COUNT.fullmatch(count):
            raise SettingsError(f"LISTEN_FDS: must be a number of sockets, and is {count.decode(errors='replace')!r}.")
        try:
            return cls(range(FIRST, FIRST + int(count)))
        except OSError as error:
            raise SettingsError(
                f"LISTEN_FDS: {int(count)} sockets must be passed on as the descriptors from {FIRST} on, and one of them is "
                f"none ({error.strerror}). Start the server by its unit of systemd, or without LISTEN_FDS."
            ) from None

    def find(self, port: int, interface: str) -> socket.socket | None:
        """Return the inherited socket that listens at an address, or None."""
        key = _key(port, interface)
        found = self._sockets.get(key)
        if found is not None:
            self._used.add(key)
        return found

    def find_opened(self, port: int, interface: str) -> socket.socket | None:
        """Return the socket that a supervisor has opened at an address, or None."""
        return self._opened.get(_key(port, interface))

    def open(self, port: int, interface: str, backlog: int) -> None:
        """Listen at an address, for workers. Raises OSError."""
        family, address = _resolve(port, interface)
        one = socket.socket(family)
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(address)
            one.listen(backlog)
        except OSError:
            one.close()
            raise
        self._opened[one.getsockname()[:2]] = one

    def close_opened(self) -> None:
        """Close the sockets that were opened here. A worker that has one keeps it."""
        for one in self._opened.values():
            one.close()
        self._opened.clear()

    def descriptors(self) -> tuple[list[int], list[int]]:
        """The descriptors of these sockets, as `__init__` takes them in another process that has copies of them."""
        found = [[one.fileno() for one in sockets.values()] for sockets in (self._sockets, self._opened)]
        return found[0], found[1]

    def unused(self) -> list[str]:
        """The addresses of sockets that no endpoint has found. Connections to them would wait for ever."""
        return [f"{host}:{port}" for host, port in self._sockets if (host, port) not in self._used]


def _key(port: int, interface: str) -> tuple[str, int]:
    try:
        host, number = _resolve(port, interface)[1][:2]
    except (OSError, OverflowError):
        return interface, port  # nothing listens there, and the attempt to open a socket tells why
    return host, number


def _resolve(port: int, interface: str) -> tuple[int, Any]:
    """Return the family and the address of a socket that listens where an endpoint says. Raises OSError."""
    family = socket.AF_INET6 if isIPv6Address(interface) else socket.AF_INET
    found = socket.getaddrinfo(interface or None, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return family, found[0][4]
