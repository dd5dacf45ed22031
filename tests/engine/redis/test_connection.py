"""One connection to Redis: its replies are those that txredisapi reads, and its failures say whether anything was sent."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from txredisapi import ConnectionError as RedisConnectionError
from txredisapi import RedisError, ResponseError

from cometify.engine.redis.connection import MOST_FAILED, NotSentError, RedisConnection
from cometify.engine.redis.scripts import APPEND, FREE_SLOTS, TAKE_SLOT
from tests.delivery.loop import Loop
from tests.redis import RedisServer


def test_replies_are_those_of_txredisapi(tmp_path: Path):
    redis = RedisServer(tmp_path / "redis").start()
    try:
        command = [sys.executable, "-m", "tests.engine.redis.txredisapi_client", redis.path]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    finally:
        redis.stop()
    assert ran.returncode == 0, ran.stderr
    theirs, ours = map(json.loads, ran.stdout.splitlines())
    assert ours == theirs
    assert b"007".hex() in ours
    assert ["ResponseError", "OUCH it hurts"] in ours


class Connected:
    """A connection whose other end is the test."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.loop = Loop()
        self.transport = StringTransport()
        self.connection = RedisConnection(self.clock.seconds, self.loop.later)
        self.outcomes: list[object] = []
        self.lost: list[str] = []
        self.connection.lost = self.lost.append
        self.connection.makeConnection(self.transport)

    def watch(self, answered) -> None:
        answered.addBoth(lambda result: self.outcomes.append(getattr(result, "value", result)))


def test_commands_in_flight_fail_with_the_reason():
    connected = Connected()
    connected.watch(connected.connection.execute("PING"))
    connected.watch(connected.connection.subscribe([b"a"]))
    connected.connection.connectionLost(Failure(ConnectionLost("gone")))
    assert [type(error) for error in connected.outcomes] == [RedisConnectionError] * 2
    assert connected.lost == [
        "the connection was lost (Connection to the other side was lost in a non-clean fashion: gone.)"
    ]


def test_commands_in_flight_fail_in_bounded_steps_and_in_order():
    connected = Connected()
    many = 3 * MOST_FAILED + 1
    failed: list[int] = []
    for number in range(many):
        reply = connected.connection.subscribe([b"a"]) if number == many - 1 else connected.connection.execute("PING")
        reply.addErrback(lambda _failure, number=number: failed.append(number))
    connected.connection.lost = lambda _why: failed.append(-1)
    connected.connection.connectionLost()
    assert failed == [*range(MOST_FAILED), -1], "the session hears of it when the first have failed"
    steps = []
    while connected.loop.due:
        before = len(failed)
        connected.loop.turn()
        steps.append(len(failed) - before)
    assert steps == [MOST_FAILED, MOST_FAILED, 1]
    assert failed[MOST_FAILED + 1 :] == list(range(MOST_FAILED, many))


def test_command_on_a_closed_connection_is_not_sent():
    connected = Connected()
    connected.connection.connectionLost()
    sent = connected.transport.value()
    connected.watch(connected.connection.execute("PING"))
    connected.watch(connected.connection.run(APPEND, b"name"))
    assert [type(error) for error in connected.outcomes] == [NotSentError] * 2
    assert isinstance(connected.outcomes[0], RedisError)
    assert connected.transport.value() == sent


@pytest.mark.parametrize("data", [b"nonsense\r\n", b"$x\r\n", b"-ERR max number of clients reached\r\n", b"+OK\r\n"])
def test_reply_that_makes_no_sense_aborts_the_connection(data):
    connected = Connected()
    connected.connection.dataReceived(data)
    assert connected.transport.disconnecting
    connected.connection.connectionLost()
    assert "reply" in connected.lost[0]


def test_longest_wait_is_that_of_the_oldest_command():
    connected = Connected()
    assert connected.connection.longest_wait() == 0
    for seconds in (1, 2):
        connected.watch(connected.connection.execute("PING"))
        connected.clock.advance(seconds)
    assert (len(connected.connection), connected.connection.longest_wait()) == (2, 3)
    connected.connection.dataReceived(b"+PONG\r\n")
    assert (len(connected.connection), connected.connection.longest_wait()) == (1, 2)


def test_first_run_of_a_script_keeps_its_place_among_commands(tmp_path: Path):
    """A Redis that has just started knows no script. The first run must not fall behind commands that were sent later."""
    redis = RedisServer(tmp_path / "redis").start()
    try:
        connected = Connected()
        take = ("10.0.0.1", "listener", "node", 1, "prefix:", "1", b"", 0)
        connected.watch(connected.connection.run(TAKE_SLOT, b"name", *take))
        connected.watch(connected.connection.run(FREE_SLOTS, b"name", "node", "10.0.0.1", "listener"))
        connected.watch(connected.connection.execute("HLEN", "name:l:10.0.0.1"))
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(redis.path)
            while len(connected.connection):
                peer.sendall(connected.transport.value())
                connected.transport.clear()
                connected.connection.dataReceived(peer.recv(65_536))
    finally:
        redis.stop()
    assert connected.outcomes[0].isdigit()
    assert connected.outcomes[2] == 0, "the slot was taken, and then freed"


def test_script_is_sent_whole_once_and_to_a_redis_that_forgot():
    connected = Connected()
    connected.watch(connected.connection.run(APPEND, b"name", 6))
    assert APPEND.source in connected.transport.value()
    connected.connection.dataReceived(b"*1\r\n$2\r\nok\r\n")
    connected.outcomes.clear()
    connected.transport.clear()
    connected.watch(connected.connection.run(APPEND, b"name", 7))
    assert APPEND.digest in connected.transport.value()
    assert APPEND.source not in connected.transport.value()
    connected.transport.clear()
    connected.connection.dataReceived(b"-NOSCRIPT No matching script\r\n")
    assert APPEND.source in connected.transport.value()
    connected.connection.dataReceived(b"*1\r\n$2\r\nok\r\n")
    connected.watch(connected.connection.run(APPEND, b"name", 7))
    connected.connection.dataReceived(b"-OOM command not allowed\r\n")
    assert connected.outcomes[0] == [b"ok"]
    assert isinstance(connected.outcomes[1], ResponseError)
