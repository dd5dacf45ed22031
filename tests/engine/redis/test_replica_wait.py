"""Publishers that wait for replicas: any number shares a WAIT, and a bounded number is answered in each step."""

from types import SimpleNamespace

import pytest
from twisted.internet.testing import StringTransport
from txredisapi import RedisError, ResponseError

from cometify.engine.redis.connection import NotSentError, RedisConnection
from cometify.engine.redis.replica_wait import MOST_ANSWERED, ReplicaWait
from tests.delivery.loop import Loop


class Waiting:
    """Publishers that wait, on connections whose other end is the test."""

    def __init__(self):
        self.loop = Loop()
        self.now = 0.0
        clock = SimpleNamespace(callLater=self.loop.later, seconds=lambda: self.now)
        self.wrong = []
        self.wait = ReplicaWait(1, clock, self.wrong.append)
        self.outcomes = {}

    def connect(self):
        connection = RedisConnection(lambda: 0.0, self.loop.later)
        connection.makeConnection(StringTransport())
        return connection

    def confirm(self, connection, *numbers):
        for number in numbers:
            self.wait.confirm(connection, b"cometify:{1}", number).addBoth(
                lambda result, number=number: self.outcomes.setdefault(number, getattr(result, "value", result))
            )

    def steps(self):
        """Turn until nobody is answered any longer. Returns how many were answered in each turn that answered some."""
        steps = [len(self.outcomes)]
        while self.loop.due:
            before = len(self.outcomes)
            self.loop.turn()
            steps.append(len(self.outcomes) - before)
        return [count for count in steps if count]


@pytest.fixture
def waiting():
    return Waiting()


MANY = 2 * MOST_ANSWERED + 1
STEPS = [MOST_ANSWERED, MOST_ANSWERED, 1]


@pytest.mark.parametrize(("replies", "expected"), [(b":1\r\n$-1\r\n", type(None)), (b":0\r\n", RedisError)])
def test_publishers_of_one_wait_are_answered_in_bounded_steps(waiting, replies, expected):
    connection = waiting.connect()
    waiting.confirm(connection, *range(1, MANY + 1))
    waiting.loop.turn()
    connection.dataReceived(replies)
    assert waiting.steps() == STEPS
    assert list(waiting.outcomes) == list(range(1, MANY + 1))
    assert {type(outcome) for outcome in waiting.outcomes.values()} == {expected}


@pytest.mark.parametrize("is_waiting", [False, True])
def test_lost_connection_fails_all_who_wait_on_it(waiting, is_waiting):
    """The next connection may be there before the commands of the last one have failed."""
    lost, connection = waiting.connect(), waiting.connect()
    waiting.confirm(lost, *range(1, MANY + 1))
    if is_waiting:
        waiting.loop.turn()
        waiting.confirm(lost, MANY + 1)
    for _ in range(MANY):
        lost.execute("PING").addErrback(lambda _failure: None)
    waiting.confirm(connection, 1000)
    lost.connectionLost()
    waiting.steps()
    assert 1000 not in waiting.outcomes
    assert len(waiting.outcomes) == MANY + is_waiting
    assert all(isinstance(outcome, RedisError) for outcome in waiting.outcomes.values())
    connection.dataReceived(b":1\r\n$-1\r\n")
    waiting.steps()
    assert waiting.outcomes[1000] is None


def test_wait_that_was_not_sent_is_not_told_as_nothing_pushed(waiting):
    """The push itself was sent, and may be published."""
    connection = waiting.connect()
    waiting.confirm(connection, 1)
    connection.connectionLost()
    waiting.steps()
    assert isinstance(waiting.outcomes[1], RedisError)
    assert not isinstance(waiting.outcomes[1], NotSentError)


def test_wait_of_a_server_at_rest_tells_how_many_replicas_are_there(waiting):
    connection = waiting.connect()
    assert waiting.wait.is_short, "nobody knows yet"
    waiting.wait.look(connection)
    waiting.wait.look(connection)  # one WAIT is on its way
    assert connection.transport.value().count(b"WAIT") == 1
    connection.dataReceived(b":1\r\n")
    assert not waiting.wait.is_short
    waiting.wait.look(connection)  # it has just been told
    assert connection.transport.value().count(b"WAIT") == 1
    waiting.now = 1.0
    waiting.wait.look(connection)
    connection.dataReceived(b":0\r\n")
    assert (waiting.wait.is_short, waiting.wait.there) == (True, 0)


def test_error_of_a_wait_is_told_even_if_no_push_waits(waiting):
    connection = waiting.connect()
    waiting.wait.look(connection)
    connection.dataReceived(b"-ERR WAIT cannot be used with replica instances.\r\n")
    assert [failure.check(ResponseError) for failure in waiting.wrong] == [ResponseError]
    assert waiting.wait.is_short


def test_wait_after_a_look_serves_the_pushes_that_came_meanwhile(waiting):
    connection = waiting.connect()
    waiting.wait.look(connection)
    waiting.confirm(connection, 1)
    waiting.loop.turn()
    assert connection.transport.value().count(b"WAIT") == 1
    connection.dataReceived(b":1\r\n")
    assert connection.transport.value().count(b"WAIT") == 2
    connection.dataReceived(b":1\r\n$-1\r\n")
    waiting.steps()
    assert waiting.outcomes == {1: None}
