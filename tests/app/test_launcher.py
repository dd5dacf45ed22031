"""The process that forks workers: descriptors, parents and failures. Each case runs in a process of its own."""

import json
import os
import socket
import subprocess
import sys

import pytest

from cometify.app import launcher

LOADED = """
import os, sys
from cometify.app import launcher
launcher.load()
assert "cometify.engine.redis.engine" in sys.modules
print([name for name in sys.modules if name == "twisted.internet.reactor"])
for name, module in list(sys.modules.items()):
    kept = vars(module).get("reactor") if name.startswith(("cometify", "tx", "twisted")) else None
    if getattr(kept, "__name__", "") == "twisted.internet.reactor":
        print(name)
files = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
print([name for name in files if "eventpoll" in name], len(os.listdir("/proc/self/task")))
"""


def test_nothing_is_loaded_that_does_not_survive_a_fork():
    """No reactor, no epoll descriptor, one thread. Only txredisapi has kept the stand-in for the reactor."""
    told = subprocess.run([sys.executable, "-c", LOADED], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert told.splitlines() == ["[]", "txredisapi", "[] 1"]


ORPHAN = """
import os, sys
from cometify.runtime.orphans import adopt_orphans, fork_orphan
if sys.argv[1] == "adopts":
    adopt_orphans()
reads, writes = os.pipe()
middle = os.fork()
if not middle:
    pid = fork_orphan()
    if not pid:
        os._exit(7)
    os.write(writes, b"%d" % pid)
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        os._exit(0)  # the process between is collected, and the other one belongs to somebody else
    os._exit(1)
assert os.waitpid(middle, 0)[1] == 0
pid = int(os.read(reads, 100))
try:
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
except ChildProcessError:
    print("somebody else's")
"""


@pytest.mark.parametrize(("how", "told"), [("adopts", "7"), ("does not", "somebody else's")])
def test_forked_process_belongs_to_the_ancestor_that_adopts(how, told):
    assert (
        subprocess.run([sys.executable, "-c", ORPHAN, how], stdout=subprocess.PIPE, text=True, check=True).stdout
        == f"{told}\n"
    )


@pytest.mark.parametrize("who_fails", ["this process", "the process between"])
def test_failure_to_fork_is_answered_and_leaves_nothing_open(monkeypatch, who_fails):
    real, here = os.fork, os.getpid()

    def fork():
        if (os.getpid() == here) is (who_fails == "this process"):
            raise OSError(11, "Resource temporarily unavailable")
        return real()

    def open_files():
        return sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208

    monkeypatch.setattr("os.fork", fork)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, socket.socket() as passed:
        before = open_files()
        for _ in range(3):  # it serves on
            socket.send_fds(ours, [b"[]"], [passed.fileno()])
        ours.shutdown(socket.SHUT_WR)
        assert launcher.serve(theirs) is None
        assert open_files() == before
        for _ in range(3):
            assert json.loads(ours.recv(1000)) == {"error": "Resource temporarily unavailable"}


def test_supervisor_that_has_gone_is_no_error(monkeypatch):
    def fork():
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("os.fork", fork)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        socket.send_fds(ours, [b"[]"], [0])
        ours.close()
        assert launcher.serve(theirs) is None
