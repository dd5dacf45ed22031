"""Processes that are forked from one with the modules of the server have all that a process that is started has."""

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.command.programs import Program
from tests.conftest import Server, fork_server
from tests.fork_server import ForkedProcess

SHOWS = """
import os, sys, time
print(os.getcwd(), os.environ.get("ONE"), sys.argv, time.tzname[0], flush=True)
print("warned", file=sys.stderr)
sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(not Server.is_forked, reason="with coverage no process is forked")


@pytest.fixture
def started(tmp_path):
    """started(lines, **variables): a forked process that runs these lines of Python."""
    processes = []

    def start(lines, **variables):
        script = tmp_path / "script"
        script.write_text(lines)
        environment = {**os.environ, **variables}
        command = [str(script), "more"]
        processes.append(fork_server().start(command, tmp_path, environment, stdin=subprocess.PIPE))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


def test_fork_has_its_folder_variables_and_streams(started, tmp_path):
    process = started(SHOWS, ONE="first", TZ="XYZ-3")
    shown = process.stdout.readline().decode()
    assert shown == f"{tmp_path} first {[str(tmp_path / 'script'), 'more']} XYZ\n"
    assert process.stderr.readline() == b"warned\n"
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.stdin.close()
    assert (process.wait(60), process.returncode) == (0, 0)
    assert (process.stdout.read(), process.stderr.read()) == (b"", b"")


@pytest.mark.parametrize(
    ("lines", "code"),
    [("import sys; sys.exit(7)", 7), ("1 / 0", 1), ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL)],
)
def test_fork_tells_how_it_ended(started, lines, code):
    assert started(lines).wait(60) == code


def test_fork_is_ended_by_signals(started):
    process = started("import time; print(flush=True); time.sleep(100)")
    process.stdout.readline()
    process.terminate()
    assert process.wait(60) == -signal.SIGTERM
    process.kill()  # nobody has this process id any longer


def test_several_threads_wait_for_one_fork(started):
    process = started("input()")
    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(process.wait, 60) for _ in range(8)]
        process.kill()
        assert [one.result() for one in waiting] == [-signal.SIGKILL] * 8


def test_forks_share_no_descriptor(started):
    first = started("import os; print(sorted(os.listdir('/proc/self/fd')), flush=True); input()")
    second = started("import os; print(sorted(os.listdir('/proc/self/fd')), flush=True); input()")
    for process in (first, second):
        assert process.stdout.readline() == b"['0', '1', '2', '3']\n"  # the last is that of the list itself
        process.stdin.close()
        assert process.wait(60) == 1


def test_variables_of_an_interpreter_need_a_start(tmp_path):
    with Program("--version") as program:
        assert isinstance(program.process, ForkedProcess)
        assert program.end() == 0
    with Program("--version", PYTHONOPTIMIZE="1") as program:
        assert isinstance(program.process, subprocess.Popen)
        assert program.end() == 0


def test_fork_has_the_server_imported_and_no_reactor(started):
    lines = "import sys; sys.exit(['cometify.app.service' in sys.modules, 'twisted.internet.reactor' in sys.modules] != [1, 0])"
    assert started(lines).wait(60) == 0
