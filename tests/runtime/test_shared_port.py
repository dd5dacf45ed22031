"""Ports of several workers in one process: each has a reactor of its own, and all accept from one socket."""

import errno
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from twisted.internet import protocol
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from cometify.runtime.connection_counts import FREE, ConnectionCounts, ConnectionShare
from cometify.runtime.epoll_loop import install_direct_poll
from cometify.runtime.shared_port import REST, SharedPort


class Worker:
    """A reactor with a port at a socket that others have too."""

    def __init__(self, listening: socket.socket, counts: ConnectionCounts, number: int) -> None:
        self.reactor = EPollReactor()
        install_direct_poll(self.reactor)
        factory = protocol.Factory.forProtocol(protocol.Protocol)
        factory.noisy = False
        self.port = SharedPort.of_socket(listening, factory, self.reactor)
        self.port.is_inherited = True  # what waits at the end is left to the others
        self.port.share = ConnectionShare(counts, number)
        self.port.startListening()

    def turn(self) -> None:
        self.reactor.runUntilCurrent()
        self.reactor.doIteration(0)

    @property
    def accepted(self) -> int:
        return self.port.sessionno

    def close(self) -> None:
        resting = [self.port] if self.port.connected else []
        for selectable in {*self.reactor.removeAll(), *resting}:
            selectable.connectionLost(Failure(ConnectionDone()))
        self.reactor._poller.close()


class Machine:
    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.counts = ConnectionCounts.of_none(3)
        self.workers = [Worker(self.listening, self.counts, number) for number in (1, 2)]
        self.clients: list[socket.socket] = []

    def connect(self, count: int) -> None:
        self.clients += [socket.create_connection(self.listening.getsockname()) for _ in range(count)]


@pytest.fixture
def machine():
    made = Machine()
    yield made
    for client in made.clients:
        client.close()
    for worker in made.workers:
        worker.close()
    made.listening.close()
    os.close(made.counts.descriptor)


def test_worker_that_is_ahead_leaves_the_rest_to_others(machine):
    first, second = machine.workers
    machine.connect(40)
    for _ in range(20):
        first.turn()
    assert first.accepted <= FREE + 3  # it rests, and twenty turns last less than a few rests
    ahead = first.accepted
    for _ in range(20):
        second.turn()
    assert second.accepted - ahead in range(FREE + 2)


def test_all_are_accepted_though_the_other_never_turns(machine):
    first, _stopped = machine.workers
    machine.connect(30)
    until = time.monotonic() + 20
    while first.accepted < 30:
        assert time.monotonic() < until
        first.turn()


def test_worker_accepts_many_while_no_other_listens(machine):
    first, second = machine.workers
    second.port.stopListening()
    second.turn()
    machine.connect(100)
    for _ in range(8):
        first.turn()
    assert first.accepted == 100


def test_connection_that_nobody_else_was_woken_for_is_found(machine):
    woken, other = machine.workers
    events: list[object] = []
    waits = threading.Thread(target=lambda: events.extend(woken.reactor._poller.poll(20)))
    waits.start()
    state = Path(f"/proc/self/task/{waits.native_id}/stat")
    while state.read_text().rpartition(")")[2].split()[0] != "S":
        assert waits.is_alive()
    machine.connect(1)
    waits.join(20)
    assert events  # and it does nothing about it
    other.turn()
    assert other.accepted == 0
    until = time.monotonic() + 20
    while not other.accepted:
        assert time.monotonic() < until
        other.turn()


def test_port_without_descriptors_rests_for_its_whole_second(machine, monkeypatch):
    first, _other = machine.workers

    def no_room() -> None:
        raise OSError(errno.ENOBUFS, "no room")

    monkeypatch.setattr(first.port, "_accept_one", no_room)
    machine.connect(1)
    first.turn()
    monkeypatch.undo()
    until = time.monotonic() + 10 * REST
    while time.monotonic() < until:
        first.turn()
    assert first.accepted == 0
    assert first.port.is_resting
