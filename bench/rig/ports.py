"""Ports for servers that are started here."""

import random
import socket

_CHANCE = random.Random()


def free_port() -> int:
    """A free port below those that the kernel gives to clients, so that a process that is away finds it free again.

    By chance: two that look at once would find the same one free, and one that was just used waits for TIME_WAIT.
    """
    while True:
        port = _CHANCE.randrange(12000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104 - it is only looked at
            except OSError:
                continue
            return port


def free_ports(count: int) -> list[int]:
    """So many of them."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)
