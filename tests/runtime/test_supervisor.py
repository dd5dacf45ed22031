"""The supervisor's end of a worker's pipes."""

from pathlib import Path

from twisted.internet.testing import MemoryReactorClock

from cometify.config.settings import Settings
from cometify.runtime.supervisor import Supervisor
from cometify.runtime.worker_process import WorkerProcess


class ClosedPipes:
    """The transport of a process that has closed its standard input and whose end is not known yet."""

    pid = 4711

    def __init__(self):
        self.pipes = {}

    def writeToChild(self, fd, data):
        self.pipes[fd].write(data)  # as twisted.internet.process.Process has it


def test_settings_for_a_worker_that_is_ending_are_dropped():
    worker = WorkerProcess(1, Path("socket"), Supervisor(Settings(()), MemoryReactorClock()))
    worker.makeConnection(ClosedPipes())
    assert worker.pid == ClosedPipes.pid
    worker.send(b"{}\n")
