"""The ports of several workers: who gets a connection, and that none is lost while workers stop, die and come back."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from cometify.runtime.connection_counts import FREE
from tests.conftest import START_WITHIN, Redis, assert_clean
from tests.contract.test_handover import TRANSPORTS, followed
from tests.contract.test_workers import Workers, alive, listeners
from tests.lag import SchedulingLag
from tests.wire import API_KEY, Connection, eventually, request_bytes

SLOW = 4
"""Connections that others take on a busy machine, because the worker whose turn it is does not run for a while."""
REQUEST = request_bytes("GET", f"/{API_KEY}/position")


@pytest.fixture
def start(redis: Redis, tmp_path) -> Iterator[Callable[..., Workers]]:
    servers: list[Workers] = []

    def started(workers: int, **options: Any) -> Workers:
        servers.append(Workers(tmp_path, {"drain": 2, "redis": redis.url, "workers": workers, **options}, {}))
        return servers[-1].start()

    yield started
    for server in servers:
        server.stop()
        assert_clean(server.log.read_text())


def shares(server: Workers) -> list[float]:
    return sorted(server.figures("cometify_listeners", transport="websocket").values())


def waiting(server: Workers, count: int, stack: ExitStack) -> list[Connection]:
    """New connections that have asked for something."""
    opened = [stack.enter_context(Connection(server.port, START_WITHIN)) for _ in range(count)]
    for connection in opened:
        connection.send(REQUEST)
    return opened


def test_each_worker_gets_its_share_of_listeners(start):
    """By chance the fullest of four workers would have some thirteen more than the emptiest."""
    server = start(4)
    with ExitStack() as stack:
        listeners(server, 200, stack)
        least, *_, most = shares(server)
        assert most - least <= FREE + SLOW


def test_new_worker_gets_those_who_come_back(start):
    """By chance half of them would come to the other one, which has twice as many already."""
    server = start(2)
    with ExitStack() as stack:
        listeners(server, 40, stack)
        os.kill(server.pids()[0], signal.SIGKILL)
        eventually(lambda: sum(server.figures("cometify_worker_deaths_total").values()) == 1)
        eventually(lambda: server.logged("Serves") == 3, START_WITHIN)
        server.until_all_are_up()
        left = sum(shares(server))
        assert abs(left - 20) <= FREE + SLOW
        listeners(server, int(40 - left), stack)
        least, most = shares(server)
        assert most - least <= 2 * (FREE + SLOW)


def test_others_serve_while_a_worker_is_stopped(start):
    server = start(2, worker_timeout=0)
    stopped = server.pids()[0]
    with ExitStack() as stack, SchedulingLag() as lag:
        os.kill(stopped, signal.SIGSTOP)
        try:
            began = time.monotonic()
            for connection in waiting(server, 40, stack):
                assert connection.answer().status == 200
            assert time.monotonic() - began < 3 + lag.seconds
        finally:
            os.kill(stopped, signal.SIGCONT)


def test_who_waits_is_served_when_all_workers_have_died(start):
    server = start(2)
    pids = server.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    with ExitStack() as stack:
        opened = waiting(server, 20, stack)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for connection in opened:
            assert connection.answer().status == 200
    assert not any(map(alive, pids))


def test_worker_that_ends_by_itself_refuses_nobody(start, tmp_path):
    server = start(2)

    def end_one() -> None:
        pid = server.pids()[0]
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not alive(pid), START_WITHIN)

    _publisher, followers = followed(server, "ended", end_one, TRANSPORTS)
    assert sum(follower.gaps for follower in followers) == 0


def test_port_is_refused_once_the_workers_have_ended(start):
    """Nobody would serve what came into a queue of the first process."""
    server = start(2)
    pids = server.pids()
    with ExitStack() as stack:
        listeners(server, 8, stack)  # so that the workers drain for a while
        os.kill(server.pid, signal.SIGTERM)
        eventually(lambda: len(server.lines("listeners are ")) == len(pids))  # all have been told by the first process
        os.kill(server.pid, signal.SIGSTOP)
        try:
            eventually(lambda: not any(map(alive, pids)), START_WITHIN)
            with pytest.raises(ConnectionRefusedError):
                Connection(server.port)
        finally:
            os.kill(server.pid, signal.SIGCONT)
