"""Listeners of a cluster whose masters are the test: lost sessions, and slots that go and come back."""

from collections.abc import Callable

import hiredis
import pytest
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from tests.engine.redis.cluster.test_engine import SITE, TRYAGAIN, World

MARKED, CHANNEL, LABEL, NAMES = 4, 7, 8, 18
"""The places of the beginning of all channels, of that of watermarks, of the number of the batch and of the first identifier in
`read.lua`."""
CHAT = b"cometify:{site}:-10.0.0.2:{site}:chat"


class ListeningWorld(World):
    """Two masters with half of the slots each, which publish to those who are subscribed.

    `masters`: their addresses, in the order of their slots. `kept`: the position of the only push on `chat`. `at`: that of the
    account. `announced`: the positions that listeners got. `before_read()`: called before identifiers are read, once.
    `takes_trials`: new connections are answered. `read`: the last `read.lua` that was sent.
    """

    def __init__(self) -> None:
        self.masters = ["10.0.0.1", "10.0.0.2"]
        self.kept, self.at = 0, 200
        self.before_read: Callable[[], None] | None = None
        self.takes_trials = True
        self.read: list[bytes] = []
        self.announced: list[int] = []
        super().__init__()

    def announce(self, _ring, push) -> None:
        self.announced.append(push.position)

    def reply(self, command: list[bytes]) -> str:
        if command[:2] == [b"CLUSTER", b"SLOTS"]:
            rows = zip(((0, 8191), (8192, 16383)), self.masters, strict=True)
            return "*2\r\n" + "\r\n".join(
                f"*3\r\n:{first}\r\n:{last}\r\n*3\r\n$8\r\n{host}\r\n:6379\r\n$8\r\n{host}"
                for (first, last), host in rows
            )
        if command[0] == b"PUBLISH":
            self.tell(b"message", *command[1:])
        return super().reply(command)

    def run(self, command: list[bytes]) -> str:
        if not self.takes_trials and command[3].startswith(b"cometify:{."):
            return ""
        if len(command) < NAMES or not command[CHANNEL].startswith(b":{site}/"):
            return super().run(command)
        if len(command) > NAMES and self.before_read is not None:
            before_read, self.before_read = self.before_read, None
            before_read()
        self.read = command
        self.tell(b"smessage", command[MARKED] + command[CHANNEL], b"%b 1 %d" % (command[LABEL], self.at))
        found = []
        for at in range(NAMES, len(command), 3):
            entry = f"{self.kept} 0 - {{"
            is_asked_for = command[at] == b"chat" and self.kept > int(command[at + 1])
            kept = f"*1\r\n${len(entry)}\r\n{entry}" if is_asked_for else "*0"
            found.append(f"*4\r\n:0\r\n:0\r\n{kept}\r\n*0")
        return "\r\n".join([f"*{3 + len(found)}", f":{self.at}", f":{self.at}", "*0", *found])

    def tell(self, *message: bytes) -> None:
        """Send a message to those who are subscribed to its channel."""
        for transport in self.hearing(message[1]):
            transport.protocol.dataReceived(hiredis.pack_command(message))

    def hearing(self, channel: bytes):
        return [transport for transport in self.transports if channel in transport.channels]

    def end_subscriptions(self) -> None:
        """End those of the account, as a master whose slot goes."""
        for transport in self.transports:
            for channel in [channel for channel in transport.channels if b"{site}" in channel]:
                transport.channels.discard(channel)
                transport.protocol.dataReceived(hiredis.pack_command((b"sunsubscribe", channel, 1)))

    def lose_connections(self) -> None:
        lost, self.transports = self.transports, []
        for transport in lost:
            transport.protocol.connectionLost(Failure(ConnectionLost()))

    @property
    def masters_away(self) -> int:
        return sum(not health.is_up for health in self.engine.redis_health())

    def join(self) -> list[object]:
        """Begin to follow `chat`. Returns a list that gets the identifiers, or the refusal."""
        outcome: list[object] = []
        followed = self.engine.follow(SITE, lambda now: {"chat": now})
        followed.addCallbacks(outcome.extend, lambda failure: outcome.append(failure.value))
        self.advance(0.1)
        return outcome


@pytest.fixture
def world():
    world = ListeningWorld()
    world.advance(0.5)
    yield world
    world.engine.stop()
    world.clock.advance(10)


def test_account_that_nobody_follows_outlasts_a_lost_session(world):
    world.push("chat")
    world.advance(0.1)
    for _ in range(2):
        world.lose_connections()
        assert world.masters_away == 2
        world.advance(2)
        assert world.masters_away == 0
    assert world.join() == ["chat"]
    world.lose_connections()
    world.advance(2)
    assert (world.masters_away, world.join()) == (0, ["chat"])


def test_account_that_nobody_follows_moves_between_masters(world):
    world.push("chat")
    world.advance(0.1)
    world.masters.reverse()
    world.refusal = f"-MOVED 1 {world.masters[0]}:6379"
    world.push("chat")
    world.advance(0.2)
    world.refusal = None
    world.advance(0.5)
    assert world.pushed == ["chat", "chat"]
    assert (world.masters_away, world.join()) == (0, ["chat"])


def test_slot_that_is_back_before_the_map_is_read_is_heard_again(world):
    assert world.join() == ["chat"]
    world.end_subscriptions()
    world.kept, world.at = 250, 300
    world.advance(0.5)
    world.end_subscriptions()
    world.advance(1.5)
    assert world.announced == [250]
    world.tell(b"smessage", CHAT, b"1 250 310 0 - {")
    assert world.announced == [250, 310]
    assert (world.masters_away, world.join()) == (0, ["chat"])


def test_slot_that_goes_and_comes_back_during_a_join_refuses_it(world):
    world.before_read = world.end_subscriptions
    outcome = world.join()
    later = world.join()
    assert [refused.code.name for refused in outcome + later] == ["engine_unavailable"] * 2
    assert {refused.detail.partition(": ")[2] for refused in outcome + later} == {"come back in a moment."}
    world.advance(1)
    assert (world.masters_away, world.join()) == (0, ["chat"])
    world.tell(b"smessage", CHAT, b"1 0 310 0 - {")
    assert world.announced == [310]


def test_accounts_of_a_new_master_are_answered_in_two_seconds(world):
    world.masters = ["10.0.0.3", "10.0.0.4"]
    world.takes_trials = False
    world.refusal = "-MOVED 1 10.0.0.3:6379"
    world.push("chat")
    world.advance(1.5)
    assert (len(world.refused), world.masters_away) == (1, 2)
    world.push("chat")
    joined = world.join()
    world.advance(1.9)
    assert len(world.refused) == 2
    assert str(joined[0]) == "engine_unavailable"


def test_pushes_keep_their_order_when_the_account_is_handed_over(world):
    world.refusal = TRYAGAIN
    names = [f"name{number}" for number in range(200)]
    for name in names:
        world.push(name)
    world.advance(0.1)
    world.masters.reverse()
    world.refusal = f"-MOVED 1 {world.masters[0]}:6379"
    world.advance(0.1)
    for name in ("late0", "late1", "late2"):
        world.push(name)
    world.advance(0.05)
    world.refusal = None
    world.advance(0.5)
    assert world.pushed == [*names, "late0", "late1", "late2"]
    world.push("last")
    world.advance(0.01)
    assert (world.pushed[-1], len(world.outcomes)) == ("last", 204)


def test_watermark_of_a_master_that_was_frozen_is_not_heard(world):
    assert world.join() == ["chat"]
    sent_to_frozen = world.read
    world.masters[1] = "10.0.0.3"  # its replica
    world.end_subscriptions()
    world.advance(1)
    assert (world.masters_away, world.join()) == (0, ["chat"])
    # The old master thaws, runs what it was sent, and Redis sends its message to all of its shard.
    before, world.at = world.at, 900
    world.run(sent_to_frozen)
    world.at = before
    for master, at in ((b"10.0.0.2", 340), (b"10.0.0.3", 310)):
        world.tell(b"smessage", CHAT.replace(b"10.0.0.2", master), b"1 0 %d 0 - {" % at)
    assert (world.announced, world.masters_away) == ([310], 0)
