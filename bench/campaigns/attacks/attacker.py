"""One attack as a process: python -m bench.campaigns.attacks.attacker NAME PORT SECONDS.

Prints the bytes that it has sent and received and the connections that it has opened, as JSON. Only this machine can be
attacked, because the address is fixed.
"""

import json
import selectors
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass

from bench.campaigns.attacks.attack import Attack
from bench.campaigns.attacks.catalogue import ATTACKS
from bench.campaigns.attacks.with_redis import ATTACKS_WITH_REDIS
from bench.rig.server_process import raise_file_limit

TARGET = "127.0.0.1"
_READ = 1 << 18
_PAUSE = 0.02
"""Seconds before a connection that failed is opened again. Without them an attack on a closed port would be a busy loop."""


@dataclass
class Traffic:
    """The totals of an attack."""

    sent: int = 0
    received: int = 0
    connections: int = 0


class _Over(Exception):
    """The attack's plan says that this connection is over."""


class _Answered(Exception):
    """The connection was answered for the first time, and another one is wanted. It stays open."""


class _Connection:
    """One connection of an attack, from an address of its own, so that it meets no limit of one address."""

    def __init__(self, attack: Attack, port: int, address: str, traffic: Traffic) -> None:
        self._attack = attack
        self._traffic = traffic
        self._payloads = 0
        self._is_opened = not attack.opening
        self._is_answered = False
        self._rest = memoryview(attack.opening or self._next_payload())
        self.address = address
        self.watched = 0
        self.socket = socket.socket()
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.socket.connect_ex((TARGET, port))
        traffic.connections += 1

    def _next_payload(self) -> bytes:
        payload = self._attack.payload(self._payloads)
        self._payloads += 1
        return payload

    @property
    def events(self) -> int:
        """The selector's events that the connection waits for. The answer to the opening is always read."""
        reads = self._attack.reads or not self._is_opened
        return (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if self._rest else 0)

    def serve(self, events: int) -> None:
        """Write and read once, as the events allow. Raises OSError or _Over if the connection is over, or _Answered."""
        with suppress(BlockingIOError):
            if events & selectors.EVENT_WRITE:
                self._write()
        with suppress(BlockingIOError):
            if events & selectors.EVENT_READ:
                self._read()

    def _write(self) -> None:
        sent = self.socket.send(self._rest)
        self._traffic.sent += sent
        self._rest = self._rest[sent:]
        if not self._rest and self._is_opened and self._attack.then == "repeat":
            self._rest = memoryview(self._next_payload())

    def _read(self) -> None:
        data = self.socket.recv(_READ)
        if not data:
            raise ConnectionResetError
        self._traffic.received += len(data)
        if not self._is_opened:
            self._is_opened = True
            self._rest = memoryview(self._next_payload())
        elif self._attack.then == "reconnect":
            raise _Over
        elif self._attack.then == "stay" and not self._is_answered:
            self._is_answered = True
            raise _Answered


class _Attacker:
    """All connections of an attack, on one selector."""

    def __init__(self, attack: Attack, port: int) -> None:
        self._attack = attack
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._closed: deque[tuple[float, str]] = deque()
        self._unwatched: list[_Connection] = []
        self._opened = 0
        self.traffic = Traffic()

    def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        for _ in range(self._attack.connections):
            self._open_another()
        while time.monotonic() < until:
            for key, events in self._selector.select(_PAUSE):
                self._serve(key.data, events)
            while self._closed and self._closed[0][0] <= time.monotonic():
                self._open(self._closed.popleft()[1])
        for connection in [*self._unwatched, *(key.data for key in self._selector.get_map().values())]:
            connection.socket.close()
        self._selector.close()

    def _open_another(self) -> None:
        self._open(f"127.0.{1 + self._opened // 250}.{1 + self._opened % 250}")
        self._opened += 1

    def _open(self, address: str) -> None:
        self._watch(_Connection(self._attack, self._port, address, self.traffic))

    def _serve(self, connection: _Connection, events: int) -> None:
        try:
            connection.serve(events)
        except _Over:
            self._close(connection)
            self._open(connection.address)
        except _Answered:
            self._watch(connection)
            if self._opened < self._attack.most:
                self._open_another()
        except OSError:
            self._close(connection)
            self._closed.append((time.monotonic() + _PAUSE, connection.address))
        else:
            self._watch(connection)

    def _watch(self, connection: _Connection) -> None:
        """Tell the selector of the events that the connection waits for. Without any it is no longer watched."""
        events, watched = connection.events, connection.watched
        if events == watched:
            return
        if not watched:
            self._selector.register(connection.socket, events, connection)
        elif events:
            self._selector.modify(connection.socket, events, connection)
        else:
            self._selector.unregister(connection.socket)
            self._unwatched.append(connection)
        connection.watched = events

    def _close(self, connection: _Connection) -> None:
        if connection.watched:
            self._selector.unregister(connection.socket)
        connection.socket.close()


def attack(plan: Attack, port: int, seconds: float) -> Traffic:
    """Carry out an attack for so many seconds. Returns its totals."""
    attacker = _Attacker(plan, port)
    attacker.run(seconds)
    return attacker.traffic


def main(arguments: list[str]) -> int:
    """Carry out the attack that is named, and print its totals."""
    name, port, seconds = arguments
    raise_file_limit()
    sys.stdout.write(json.dumps(asdict(attack((ATTACKS | ATTACKS_WITH_REDIS)[name], int(port), float(seconds)))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
