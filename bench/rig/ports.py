"""Free ports for servers that are started here."""

import os
import random
import socket
from collections import deque

_RNG = random.Random()
_TRIES = 1000
_PARTS = 8
_FIRST_PART = "COMETIFY_FIRST_PART_OF_PORTS"
"""A variable of the environment. Two test runs that run side by side number their processes alike, so the second sets it."""
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
_NUMBER = int(_WORKER.removeprefix("gw")) + 1 if _WORKER.startswith("gw") else 0
_PART = (_NUMBER + int(os.environ.get(_FIRST_PART, "0"))) % _PARTS
"""The ports with this remainder are of this process alone. The processes of a test run look at once, and a server takes a
second to bind the port that was found for it."""
_FOUND: deque[int] = deque(maxlen=500)
"""The last ports that this process has found. It may look for several before a server binds the first one."""


def free_port(lowest: int = 12_000, above: int = 32_000) -> int:
    """Return a free port of this range. Raises OSError if a thousand ports in a row are taken.

    By default the port is below those that the kernel gives to clients, so that a process that is stopped finds it free
    again. It is chosen at random because two callers that look at once would find the same one free, and because a port
    that was used a moment ago waits for TIME_WAIT.
    """
    for _ in range(_TRIES):
        port = _RNG.randrange(lowest, above) // _PARTS * _PARTS + _PART
        if not lowest <= port < above or port in _FOUND:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104 - nothing listens on it
            except OSError:
                continue
            _FOUND.append(port)
            return port
    raise OSError(f"no port from {lowest} to {above - 1} is free")


def free_ports(count: int) -> list[int]:
    """Return so many different free ports."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)
