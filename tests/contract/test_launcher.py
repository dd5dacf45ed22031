"""The process that workers are forked from: it dies, stops and hands nothing over that a worker must not have."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import START_WITHIN, Redis, assert_clean
from tests.contract.test_workers import Workers, alive, children, listeners
from tests.wire import API_KEY, eventually

MB = 1 << 20


@pytest.fixture
def start(redis: Redis, tmp_path) -> Iterator[Callable[..., Workers]]:
    servers: list[Workers] = []

    def started(workers: int, **options: Any) -> Workers:
        servers.append(Workers(tmp_path, {"drain": 2, "redis": redis.url, "workers": workers, **options}, {}))
        return servers[-1].start()

    yield started
    for server in servers:
        if server.process is not None:
            server.stop()
        assert_clean(server.log.read_text())


def replaced(server: Workers, victim: int) -> int:
    """Kill a worker. Returns its successor, once that serves."""
    before = server.pids()
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: set(server.pids()) - set(before), START_WITHIN)
    server.until_all_are_up()
    (successor,) = set(server.pids()) - set(before)
    return successor


def zombies(pid: int) -> list[str]:
    """The children of a process that have ended and that it has not collected."""
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for child in pids if not alive(int(child))]


def test_workers_live_on_when_it_dies_and_another_one_starts_their_successors(start):
    server = start(2)
    starter, pids = server.starter(), server.pids()
    with ExitStack() as stack:
        opened = listeners(server, 8, stack)
        os.kill(starter, signal.SIGKILL)
        line = f"The process that starts workers (pid {starter}) was killed by SIGKILL."
        eventually(lambda: server.logged(line) == 1)
        assert children(server.pid) == pids
        server.pushed("chat", "still here")
        assert [listener.texts(1) for listener in opened] == [["still here"]] * 8
    replaced(server, pids[0])
    assert server.starter() != starter
    assert server.pids()[0] == pids[1]
    assert server.figures("cometify_worker_deaths_total") == {"1": 1, "2": 0}
    assert zombies(server.pid) == []


def test_it_starts_all_successors_and_leaves_no_zombie(start):
    server = start(2)
    starter = server.starter()
    for _ in range(3):
        replaced(server, server.pids()[1])
    assert server.starter() == starter
    assert zombies(server.pid) == []


def test_it_ends_with_the_server(start):
    server = start(2)
    starter = server.starter()
    server.stop()
    eventually(lambda: not alive(starter), 5)
    assert "The process that starts workers" not in server.log.read_text()


def test_it_ends_when_the_first_process_is_killed(start):
    server = start(2)
    starter = server.starter()
    server.stop(signal.SIGKILL)
    eventually(lambda: not alive(starter), 5)


def test_server_ends_in_time_while_it_is_stopped(start):
    """A worker is to be started, which it does not do."""
    server = start(2, drain=1)
    starter = server.starter()
    os.kill(starter, signal.SIGSTOP)
    victim = server.pids()[0]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: server.logged(f"(pid {victim}) was killed by SIGKILL. A new process starts at once.") == 1)
    began = time.monotonic()
    assert server.stop() == -signal.SIGTERM
    assert time.monotonic() - began < 15
    eventually(lambda: not alive(starter), 5)


def open_files(pid: int) -> set[str]:
    """The pipes, sockets and other files of a process that have no name."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    return {name for name in found if name.startswith(("pipe:", "socket:"))}


def test_no_process_keeps_the_pipes_of_another(start):
    """A pipe ends when nobody has its other end. So the end of a process, and that of the first one, is always noticed."""
    server = start(3)
    replaced(server, server.pids()[0])
    workers = [open_files(pid) for pid in server.pids()]
    starter = open_files(server.starter())
    shared = set.intersection(*workers)
    assert len(shared) == 2  # the two ports
    for files in workers:
        assert len({name for name in files if name.startswith("pipe:")} & open_files(server.pid)) == 3
        assert not files & starter
    assert all((workers[a] & workers[b]) == shared for a in range(3) for b in range(a))


def private(pid: int) -> int:
    """Bytes of memory that a process shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Dirty:", "Private_Clean:")))


def test_workers_share_the_memory_of_what_is_loaded(start):
    server = start(4)
    with ExitStack() as stack:
        listeners(server, 40, stack)
        for number in range(40):
            server.pushed("chat", str(number))
        # It is 45 MB of a worker that shares nothing.
        assert max(map(private, server.pids())) < 22 * MB
    assert server.request("GET", f"/{API_KEY}/position").status == 200


def test_each_worker_is_known_by_its_name(start):
    server = start(3)
    before = server.pid_of("2")
    assert replaced(server, before) == server.pid_of("2")
    assert sorted(server.pid_of(number) for number in server.numbers) == sorted(server.pids())
