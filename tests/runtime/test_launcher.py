"""The supervisor's requests for processes, with a process that forks, answers late, fails or dies."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet import error
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from cometify.runtime.child_process import describe_end
from cometify.runtime.launcher import ANSWERS_WITHIN, CONTROL, LONGEST, MOST_DESCRIPTORS, Launcher
from tests.wire import eventually


class Forking:
    """The process that forks, played by the test: it has the other end of the socket."""

    def __init__(self, protocol, control):
        self.pid = 4711
        self.signals = []
        self.protocol = protocol
        self.control = socket.socket(fileno=os.dup(control))
        self.control.settimeout(5)
        protocol.makeConnection(self)

    def signalProcess(self, name):
        self.signals.append(name)

    def taken(self):
        """The arguments of the next request and its descriptors."""
        message, descriptors, _flags, _address = socket.recv_fds(self.control, LONGEST, MOST_DESCRIPTORS)
        return json.loads(message) if message else None, descriptors

    def asked(self):
        """The arguments of the next request. None: there is no request, but the end."""
        arguments, descriptors = self.taken()
        for descriptor in descriptors:
            os.close(descriptor)
        return arguments

    def is_asked(self):
        self.control.setblocking(False)
        try:
            self.control.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        finally:
            self.control.settimeout(5)
        return True

    def answer(self, **answer):
        self.control.send(json.dumps(answer).encode())

    def end(self, code=1):
        self.control.close()
        self.protocol.processEnded(Failure(error.ProcessTerminated(code, None, code << 8)))


class Reactor(MemoryReactorClock):
    """A reactor whose processes are played by the test, and whose descriptors are read when the test says so."""

    def __init__(self):
        super().__init__()
        self.forking = []
        self.reason = None

    def spawnProcess(self, protocol, executable, args, env, childFDs):
        if self.reason is not None:
            raise self.reason
        assert (executable, env) == ("python", None)
        self.forking.append(Forking(protocol, childFDs[CONTROL]))

    def turn(self):
        """Read whatever there is, until there is nothing more."""
        for reader in self.getReaders():
            try:
                reason = reader.doRead()
            except BlockingIOError:
                continue
            if reason is not None and reader in self.readers:
                self.removeReader(reader)
                reader.connectionLost(Failure(reason))
        for writer in self.getWriters():
            reason = writer.doWrite()
            if reason is not None:
                self.removeWriter(writer)
                writer.connectionLost(Failure(reason))


class Owner:
    """Whoever asked for a process."""

    def __init__(self):
        self.process = self.why = None
        self.ends = []
        self.out = self.err = b""

    def started(self, process):
        self.process = process

    def not_started(self, why):
        self.why = why

    def out_received(self, data):
        self.out += data

    def err_received(self, data):
        self.err += data

    def process_ended(self, code):
        self.ends.append(describe_end(code))


@pytest.fixture
def reactor():
    """A reactor. A test leaves no descriptor open once the process that forks has ended."""
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    reactor = Reactor()
    yield reactor
    for one in reactor.forking:
        if one.control.fileno() >= 0:
            one.end()
    reactor.turn()
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
    assert (reactor.getReaders(), reactor.getWriters()) == ([], [])


@pytest.fixture
def launcher(reactor):
    launcher = Launcher(reactor, ("python",))
    yield launcher
    launcher.close()


def run(forking, code):
    """Run a program as the process that was asked for, and answer with its number."""
    _arguments, descriptors = forking.taken()
    program = subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdin=descriptors[0], stdout=descriptors[1], stderr=descriptors[2]
    )
    for descriptor in descriptors:
        os.close(descriptor)
    forking.answer(pid=program.pid)
    return program


def test_process_gets_what_is_written_and_is_heard(reactor, launcher):
    owner = Owner()
    launcher.start(owner, ["1"], [])
    (forking,) = reactor.forking
    program = run(
        forking, "import sys; data = sys.stdin.read(); print(len(data)); sys.stderr.write('err'); sys.exit(3)"
    )
    reactor.turn()
    assert owner.process.pid == program.pid
    owner.process.write(b"x" * 1_000_000)  # more than a pipe holds
    owner.process.close_input()
    owner.process.write(b"too late")

    def has_ended():
        reactor.turn()
        reactor.advance(1)
        return owner.ends

    eventually(has_ended)
    assert (owner.out, owner.err, owner.ends) == (b"1000000\n", b"err", ["ended with exit code 3"])
    program.returncode = 0  # it has been collected


def test_process_is_killed(reactor, launcher):
    owner = Owner()
    launcher.start(owner, ["1"], [])
    program = run(reactor.forking[0], "import time; time.sleep(60)")
    reactor.turn()
    owner.process.kill()

    def has_ended():
        reactor.turn()
        reactor.advance(1)
        return owner.ends

    eventually(has_ended)
    assert owner.ends == ["was killed by SIGKILL"]
    owner.process.kill()  # too late, and no harm
    program.returncode = 0


def test_process_that_somebody_else_collects_has_ended_all_the_same(reactor, launcher):
    owner = Owner()
    launcher.start(owner, ["1"], [])
    program = run(reactor.forking[0], "")
    program.wait()
    reactor.turn()
    eventually(lambda: reactor.turn() or owner.ends)
    assert owner.ends == ["ended, and its exit code is not known"]


def test_descriptors_follow_the_standard_streams(reactor, launcher):
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        launcher.start(Owner(), ["1", "folder", "2"], [one.fileno(), other.fileno()])
        arguments, descriptors = reactor.forking[0].taken()
        assert arguments == ["1", "folder", "2"]
        found = [Path(f"/proc/self/fd/{descriptor}").readlink() for descriptor in descriptors]
        assert found[3:] == [Path(f"/proc/self/fd/{here.fileno()}").readlink() for here in (one, other)]
        for descriptor in descriptors:
            os.close(descriptor)


def test_one_request_at_a_time(reactor, launcher):
    owners = [Owner(), Owner()]
    for number, owner in enumerate(owners):
        launcher.start(owner, [str(number)], [])
    (forking,) = reactor.forking
    assert forking.asked() == ["0"]
    assert not forking.is_asked()
    forking.answer(error="Resource temporarily unavailable")
    reactor.turn()
    assert owners[0].why == "Resource temporarily unavailable"
    assert forking.asked() == ["1"]
    assert owners[1].why is None


def test_next_request_starts_another_process_once_it_has_died(reactor, launcher):
    owners = [Owner(), Owner(), Owner()]
    for owner in owners[:2]:
        launcher.start(owner, [], [])
    reactor.forking[0].end(7)
    assert owners[0].why == "the process that starts workers ended with exit code 7"
    reactor.forking[1].asked()
    reactor.forking[1].answer(error="no")
    reactor.turn()
    assert owners[1].why == "no"
    reactor.forking[1].control.close()  # it dies, which is not known yet
    launcher.start(owners[2], ["last"], [])
    assert len(reactor.forking) == 2
    reactor.forking[1].end()
    assert reactor.forking[2].asked() == ["last"]
    assert owners[2].why is None


def test_process_that_does_not_answer_is_killed(reactor, launcher):
    owner = Owner()
    launcher.start(owner, [], [])
    (forking,) = reactor.forking
    reactor.advance(ANSWERS_WITHIN - 1)
    assert forking.signals == []
    reactor.advance(1)
    assert forking.signals == ["KILL"]
    assert owner.why is None
    forking.end()
    assert owner.why is not None


def test_process_that_has_answered_has_all_the_time_it_wants(reactor, launcher):
    launcher.start(Owner(), [], [])
    reactor.forking[0].asked()
    reactor.forking[0].answer(error="no")
    reactor.turn()
    reactor.advance(2 * ANSWERS_WITHIN)
    assert reactor.forking[0].signals == []


def test_end_waits_for_the_process_that_is_being_started(reactor, launcher):
    owners = [Owner(), Owner()]
    for owner in owners:
        launcher.start(owner, [], [])
    launcher.close()
    (forking,) = reactor.forking
    program = run(forking, "")
    assert (owners[0].why, owners[1].why) == (None, "the server ends")
    reactor.turn()
    assert owners[0].process.pid == program.pid
    reactor.turn()
    assert forking.asked() is None
    program.wait()


@pytest.mark.parametrize(
    "reason", [OSError(12, "Cannot allocate memory"), OSError(11, "Resource temporarily unavailable")]
)
def test_process_that_cannot_be_started_is_told(reactor, launcher, reason):
    owner = Owner()
    reactor.reason = reason
    launcher.start(owner, [], [])
    reactor.turn()
    assert owner.why == reason.strerror


def test_without_descriptors_the_owner_is_told(monkeypatch, reactor, launcher):
    owner = Owner()
    opened = []

    def pipe():
        if len(opened) == 4:
            raise OSError(24, "Too many open files")
        opened.extend(real())
        return opened[-2:]

    real = os.pipe
    monkeypatch.setattr("os.pipe", pipe)
    launcher.start(owner, [], [])
    assert owner.why == "Too many open files"
    for descriptor in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
