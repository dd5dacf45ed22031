"""A connection to a master: channels in slots, and replies that a slot is elsewhere. The other end is the test."""

import hiredis
import pytest
from twisted.internet import defer
from twisted.internet.testing import MemoryReactorClock, StringTransport
from txredisapi import RedisError, ResponseError

from cometify.engine.redis.cluster.connection import ClusterConnection
from cometify.engine.redis.connection import NotSentError
from cometify.engine.redis.scripts import APPEND, PUBLISH_CONFIRMED, READ, in_cluster
from tests.delivery.loop import Loop

NAME = b"cometify:{site}"
MARK = b":-id"
A, B, OWN = b"cometify:{a}:-id:{a}:chat", b"cometify:{b}:-id:{b}:chat", b"cometify:id:nodes"
MOVED = b"-MOVED 5 10.0.0.1:6379\r\n"
PONG = (b"pong", b"")


class Master:
    """A connection, the commands that it has sent, and what it has told the cluster. `elsewhere`: scripts to be run there."""

    def __init__(self) -> None:
        self.stale: list[str] = []
        self.elsewhere: list[str] = []
        self.waiting: set[bytes] = set()
        self.heard: list[tuple[bytes, bytes]] = []
        self.ended: list[bytes] = []
        self.lost: list[str] = []
        self.outcomes: list[object] = []
        self.transport = StringTransport()
        self.connection = ClusterConnection(MemoryReactorClock().seconds, Loop().later, self, MARK)
        self.connection.lost = self.lost.append
        self.transport.abortConnection = lambda: self.lost.append("aborted")
        self.connection.ended = self.ended.append
        self.connection.makeConnection(self.transport)

    def subscribed(self) -> "Master":
        self.connection.heard = lambda channel, text: self.heard.append((channel, text))
        return self

    def is_stale(self, reply: str = "") -> None:
        self.stale.append(reply)

    def run_elsewhere(self, _failure, script, _name, _args):
        self.elsewhere.append(script.name)
        return defer.succeed("elsewhere")

    def watch(self, answered) -> None:
        answered.addBoth(lambda result: self.outcomes.append(getattr(result, "value", result)))

    def sent(self) -> list[list[bytes]]:
        reader = hiredis.Reader()
        reader.feed(self.transport.value())
        self.transport.clear()
        found = []
        while (command := reader.gets()) is not False:
            found.append(command)
        return found

    def reply(self, *parts: bytes | tuple[bytes | int, ...]) -> None:
        for part in parts:
            data = part if isinstance(part, bytes) else hiredis.pack_command(part)
            self.connection.dataReceived(data)


def test_channels_of_each_account_have_a_command_of_their_own():
    master = Master().subscribed()
    master.watch(master.connection.subscribe([A, OWN, B, A + b"2"]))
    assert master.sent() == [[b"SSUBSCRIBE", A, A + b"2"], [b"SUBSCRIBE", OWN], [b"SSUBSCRIBE", B]]
    master.reply((b"ssubscribe", A, 1), (b"ssubscribe", A + b"2", 2), (b"subscribe", OWN, 1))
    assert master.outcomes == []
    master.reply((b"ssubscribe", B, 3), (b"smessage", A, b"text"), (b"message", OWN, b"other"))
    assert master.outcomes == [None]
    assert master.heard == [(A, b"text"), (OWN, b"other")]
    master.connection.unsubscribe([A, OWN])
    assert master.sent() == [[b"SUNSUBSCRIBE", A], [b"PING"], [b"UNSUBSCRIBE", OWN]]
    master.reply((b"sunsubscribe", A, 2), PONG, (b"unsubscribe", OWN, 0))
    assert (master.stale, master.ended, master.lost) == ([], [], [])


def test_subscription_to_a_slot_that_is_elsewhere_fails_alone():
    master = Master().subscribed()
    master.watch(master.connection.subscribe([A]))
    master.connection.unsubscribe([A])
    master.watch(master.connection.subscribe([B]))
    master.reply(MOVED, MOVED, PONG, (b"ssubscribe", B, 1))
    assert isinstance(master.outcomes[0], ResponseError)
    assert master.outcomes[1:] == [None]
    assert master.stale == ["MOVED 5 10.0.0.1:6379"] * 2
    master.reply((b"sunsubscribe", B, 0))
    assert (master.stale[2:], master.ended) == ([""], [B]), "Redis has ended the subscription, because the slot goes"
    assert master.lost == []


@pytest.mark.parametrize("is_back", [False, True])
@pytest.mark.parametrize("pong", [(b"pong", b""), b"+PONG\r\n"])
def test_ends_of_subscriptions_by_both_sides_cross(is_back, pong):
    master = Master().subscribed()
    master.watch(master.connection.subscribe([A]))
    master.reply((b"ssubscribe", A, 1))
    master.watch(master.connection.subscribe([B]))
    master.connection.unsubscribe([A])
    master.watch(master.connection.subscribe([A]))
    master.reply((b"sunsubscribe", A, 0))
    assert master.outcomes == [None], "B is not confirmed yet"
    master.reply((b"ssubscribe", B, 1))
    assert (master.outcomes, master.ended) == ([None, None], [A])
    # Redis can end it between two of our commands as well.
    master.reply((b"sunsubscribe", A, 1), (b"sunsubscribe", A, 1) if is_back else MOVED, pong)
    assert (master.outcomes, master.lost) == ([None, None], [])
    master.reply((b"ssubscribe", A, 2))
    assert (master.outcomes, master.ended, master.lost) == ([None] * 3, [A], [])


def test_connection_is_lost_while_a_channel_is_left():
    master = Master().subscribed()
    master.connection.unsubscribe([A])
    master.watch(master.connection.subscribe([B]))
    master.connection.connectionLost()
    assert [str(outcome) for outcome in master.outcomes] == ["the connection was closed"]


@pytest.mark.parametrize("reply", [MOVED, b"-ASK 5 10.0.0.1:6379\r\n", b"-TRYAGAIN Multiple keys\r\n"])
def test_script_of_a_slot_that_is_elsewhere_is_run_there(reply):
    master = Master()
    master.watch(master.connection.run(APPEND, NAME, "argument"))
    assert master.sent() == [[b"EVAL", in_cluster(APPEND).source, b"2", NAME, NAME + MARK, b"argument"]]
    master.reply(reply)
    assert (master.outcomes, master.elsewhere) == (["elsewhere"], ["append"])
    assert master.stale == [reply.decode()[1:-2]]


def test_script_waits_behind_those_of_its_account():
    master = Master()
    master.waiting.add(NAME)
    master.watch(master.connection.run(READ, NAME))
    assert (master.sent(), master.outcomes, master.elsewhere) == ([], ["elsewhere"], ["read"])


def test_push_that_waits_for_replicas_is_run_nowhere_else():
    master = Master()
    master.connection.follows = False
    for script in (APPEND, READ, PUBLISH_CONFIRMED):
        master.watch(master.connection.run(script, NAME))
        master.reply(MOVED)
    assert [type(outcome) for outcome in master.outcomes] == [NotSentError, ResponseError, RedisError]
    assert master.elsewhere == []


def test_script_that_a_new_master_does_not_know_is_sent_again():
    master = Master()
    for _ in range(2):
        master.watch(master.connection.run(READ, NAME))
        master.reply(b":1\r\n")
        sent = master.sent()
    assert sent == [[b"EVALSHA", in_cluster(READ).digest, b"2", NAME, NAME + MARK]]
    master.watch(master.connection.run(READ, NAME))
    master.reply(b"-NOSCRIPT No matching script\r\n", b":2\r\n", b"")
    assert master.sent()[-1] == [b"EVAL", in_cluster(READ).source, b"2", NAME, NAME + MARK]
    assert master.outcomes == [1, 1, 2]


def test_scripts_publish_in_the_slot_of_the_account():
    assert b"redis.call(('PUBLISH'), node_channel" in READ.source
    assert b"redis.call(('SPUBLISH'), KEYS[2] .. node_channel" in in_cluster(READ).source
    assert in_cluster(READ).digest != READ.digest
