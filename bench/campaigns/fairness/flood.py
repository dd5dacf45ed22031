"""An account that pushes as fast as it is answered, over several connections, and reads what its listeners get."""

import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Process

from bench.campaigns.fairness.neighbours import Neighbour

_ANSWER = b"HTTP/1.1 200"
_ALL_AT_ONCE = 256 * 1024


@dataclass(frozen=True)
class Flood:
    """`depth`: the requests that each connection has under way. The listeners are spread over the identifiers."""

    connections: int = 10
    depth: int = 1
    identifiers: int = 1
    listeners: int = 0


class _Pusher:
    """A connection that is never without requests."""

    def __init__(self, neighbour: Neighbour, number: int, flood: Flood) -> None:
        self.socket = neighbour.connect()
        self._request = neighbour.push_request(f"flood{number % flood.identifiers}", "flood")
        self.socket.sendall(self._request * flood.depth)

    def read(self) -> None:
        answers = self.socket.recv(_ALL_AT_ONCE).count(_ANSWER)
        self.socket.sendall(self._request * answers)


class _Reader:
    """A listener whose frames are read and thrown away."""

    def __init__(self, neighbour: Neighbour, number: int, flood: Flood) -> None:
        self.socket = neighbour.listen(f"flood{number % flood.identifiers}")

    def read(self) -> None:
        self.socket.recv(_ALL_AT_ONCE)


def _run(neighbour: Neighbour, flood: Flood) -> None:
    selector = selectors.DefaultSelector()
    readers = [_Reader(neighbour, number, flood) for number in range(flood.listeners)]
    pushers = [_Pusher(neighbour, number, flood) for number in range(flood.connections)]
    ends: list[_Reader | _Pusher] = [*readers, *pushers]
    for one in ends:
        selector.register(one.socket, selectors.EVENT_READ, one)
    while True:
        for key, _events in selector.select():
            key.data.read()


@contextmanager
def flooding(neighbour: Neighbour, flood: Flood) -> Iterator[None]:
    """Flood during the block, from a process of its own."""
    process = Process(target=_run, args=(neighbour, flood), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()
