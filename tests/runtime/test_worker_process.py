"""A worker that is silent: one that hangs is replaced soon, and one that computes gets its time."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet.testing import MemoryReactorClock

from cometify.config.settings import Settings
from cometify.runtime.process_activity import Activity
from cometify.runtime.supervisor import Supervisor
from cometify.runtime.worker_process import WorkerProcess
from tests.wire import eventually


class RealProcess:
    """The process of a worker, which was started by the test."""

    def __init__(self, process):
        self.pid = process.pid
        self.kill = process.kill

    def write(self, data):
        """It reads nothing."""


@pytest.fixture
def spawn():
    """Start programs, and end them with the test."""
    started = []

    def run(*command):
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def look_at():
    """Let a clock run and look at a process once a second, as the supervisor does. Returns the second of its death, or None."""

    def look(process, seconds, patience=30):
        clock = MemoryReactorClock()
        worker = WorkerProcess(1, Path("socket"), Supervisor(Settings(()), clock))
        worker.started(RealProcess(process))
        worker.out_received(b"\n")
        for second in range(1, seconds + 1):
            clock.advance(1)
            alive = process.poll() is None
            worker.check(patience)
            try:
                process.wait(0.05 if second > 3 and alive else 0)
            except subprocess.TimeoutExpired:
                continue
            return second
        return None

    return look


def state(process):
    return Activity.of(process.pid).state


def test_process_that_a_signal_has_stopped_is_killed_at_once(spawn, look_at):
    process = spawn("sleep", "60")
    process.send_signal(signal.SIGSTOP)
    eventually(lambda: state(process) == "T")
    assert look_at(process, 10) == 4


def test_process_that_waits_for_ever_is_killed_a_look_later(spawn, look_at):
    process = spawn("sleep", "60")
    eventually(lambda: state(process) == "S")
    assert look_at(process, 10) == 5


def test_process_that_computes_has_its_whole_time(spawn, look_at):
    process = spawn(sys.executable, "-S", "-c", "print(flush=True)\nwhile True: pass")
    process.stdout.readline()
    assert look_at(process, 12, patience=9) == 9


def test_process_that_works_now_and_then_is_left_alone(spawn, look_at):
    """It sleeps at most looks, but it does not hang."""
    code = """if True:
        import time
        print(flush=True)
        while True:
            time.sleep(0.02)
            end = time.process_time() + 0.02
            while time.process_time() < end:
                pass
    """
    process = spawn(sys.executable, "-S", "-c", code)
    process.stdout.readline()
    assert look_at(process, 8) is None


@pytest.mark.parametrize("stop", [signal.SIGSTOP, None])
def test_no_silent_process_is_killed_at_worker_timeout_0(spawn, look_at, stop):
    process = spawn("sleep", "60")
    if stop:
        process.send_signal(stop)
    assert look_at(process, 8, patience=0) is None


def test_activity_is_read_beside_any_name(spawn, tmp_path):
    odd = tmp_path / "a) T 1 (b"
    shutil.copy(shutil.which("sleep"), odd)
    process = spawn(str(odd), "60")
    eventually(lambda: state(process) == "S")
    assert Activity.of(process.pid) == Activity("S", 0)


def test_process_that_has_ended_has_no_activity(spawn):
    process = spawn("true")
    process.wait()
    assert Activity.of(process.pid) is None
