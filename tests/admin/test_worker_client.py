"""The supervisor's requests to its workers, with workers that die, hang or answer too much."""

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from cometify.admin.worker_client import ANSWER_TIMEOUT, MAX_ANSWER, Answer, WorkerClient
from cometify.config.settings import Settings
from cometify.core.account import Account
from cometify.runtime.supervisor import Supervisor


class Worker:
    """The far end of one request: the bytes that the worker gets and sends."""

    def __init__(self, reactor, path=b"/metrics"):
        supervisor = Supervisor(Settings((Account("1", ("s",)),), workers=1), reactor)
        supervisor.startService()
        self.answers = []
        self.calls_before = reactor.getDelayedCalls()
        WorkerClient(reactor, supervisor).ask(path).addCallback(lambda answers: self.answers.extend(answers.values()))
        (self.socket, factory, *_rest) = reactor.unixClients[-1]
        self.protocol = factory.buildProtocol(None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)
        self.worker = supervisor.workers[0]

    def send(self, data):
        self.protocol.dataReceived(data)

    def die(self):
        self.protocol.connectionLost(Failure(ConnectionDone()))


@pytest.fixture
def reactor(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    reactor = MemoryReactorClock()
    reactor.spawnProcess = lambda *_args, **_more: None
    return reactor


def head(length):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length


def test_whole_answer_is_returned(reactor):
    worker = Worker(reactor, b"/inspect?account=1")
    assert worker.socket == str(worker.worker.socket)
    assert worker.transport.value().startswith(b"GET /inspect?account=1 HTTP/1.1\r\n")
    assert b"\r\nHost: worker\r\n" in worker.transport.value()
    worker.send(head(4) + b"te")
    assert worker.answers == []
    worker.send(b"xt")
    assert worker.answers == [Answer(200, b"text")]


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200", head(4), head(4) + b"te"])
def test_worker_that_dies_over_its_answer_has_not_answered(reactor, sent):
    worker = Worker(reactor)
    worker.send(sent)
    worker.die()
    assert worker.answers == [None]


@pytest.mark.parametrize("sent", [b"", head(4) + b"te"])
def test_worker_that_hangs_is_given_up_after_a_second(reactor, sent):
    worker = Worker(reactor)
    worker.send(sent)
    reactor.advance(ANSWER_TIMEOUT - 0.01)
    assert worker.answers == []
    reactor.advance(0.02)
    assert worker.transport.disconnected or worker.transport.disconnecting
    worker.die()
    assert worker.answers == [None]


def test_answer_that_is_too_long_is_not_read_to_its_end(reactor):
    worker = Worker(reactor)
    worker.send(head(MAX_ANSWER + 2))
    worker.send(b"x" * MAX_ANSWER)
    assert not worker.transport.disconnecting
    worker.send(b"x")
    assert worker.transport.disconnecting
    assert worker.answers == [None]
    worker.die()
    assert reactor.getDelayedCalls() == worker.calls_before, "the time-out of the answer is cancelled"


def test_requests_leave_no_lines_in_the_log(reactor):
    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        worker = Worker(reactor)
        factory = reactor.unixClients[-1][1]
        factory.doStart()
        worker.send(head(0))
        worker.die()
        factory.doStop()
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert worker.answers == [Answer(200, b"")]
    assert events == []
