"""Slots without a master, or on their way for long: their accounts are refused, no others, and the log says so."""

from collections.abc import Iterator

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from cometify.core.account import Account
from cometify.engine.redis.cluster.slot_map import SLOTS, slot_of
from tests.engine.redis.cluster.test_engine import TRYAGAIN
from tests.engine.redis.cluster.test_listeners import ListeningWorld

OTHER = Account("other", ("secret",))
HOLE = slot_of(b"{site}")
NOT_SERVED = "-CLUSTERDOWN Hash slot not served"


class PartlyServed(ListeningWorld):
    """`refusal_of_site`: the reply to all commands of one account, "" if they are served. `has_hole`: its slot has no master.
    `state`: the reply to CLUSTER INFO.
    """

    def __init__(self) -> None:
        self.refusal_of_site = ""
        self.has_hole = False
        self.state = ""
        super().__init__()

    def refuses(self, command: list[bytes]) -> str:
        is_of_site = command[0] in (b"EVAL", b"EVALSHA", b"SSUBSCRIBE") and any(
            b"{site}" in part for part in command[1:5]
        )
        return self.refusal_of_site if is_of_site else ""

    def reply(self, command: list[bytes]) -> str:
        if command[:2] == [b"CLUSTER", b"INFO"] and self.state:
            return f"${len(self.state)}\r\n{self.state}"
        if command[:2] != [b"CLUSTER", b"SLOTS"] or not self.has_hole:
            return super().reply(command)
        rows = zip(((0, HOLE - 1), (HOLE + 1, SLOTS - 1)), self.masters, strict=True)
        return "*2\r\n" + "\r\n".join(
            f"*3\r\n:{first}\r\n:{last}\r\n*3\r\n$8\r\n{host}\r\n:6379\r\n$8\r\n{host}" for (first, last), host in rows
        )

    def lose_slot(self) -> None:
        self.has_hole, self.refusal_of_site = True, NOT_SERVED

    def find_slot(self) -> None:
        self.has_hole, self.refusal_of_site = False, ""


@pytest.fixture
def world() -> Iterator[PartlyServed]:
    world = PartlyServed()
    yield world
    world.engine.stop()
    world.clock.advance(10)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []

    def note(event) -> None:
        found.append(formatEvent(event))

    globalLogPublisher.addObserver(note)
    yield found
    globalLogPublisher.removeObserver(note)


def test_node_that_starts_serves_all_slots_that_have_a_master(world, lines):
    world.lose_slot()
    world.push("chat", OTHER)
    world.push("chat")
    world.advance(3)
    assert world.pushed == ["chat"]
    assert "nothing was pushed" in world.refused[0]
    assert [health.losses for health in world.engine.redis_health()] == [
        dict.fromkeys(health.losses, 0) for health in world.engine.redis_health()
    ]
    (told,) = [line for line in lines if "redis-cli --cluster fix" in line]
    assert "1 slots of the cluster have no master" in told
    world.find_slot()
    world.advance(31)
    world.push("news")
    world.advance(0.5)
    assert world.pushed == ["chat", "news"]
    assert "All slots of the cluster have a master again" in lines


def test_lost_session_comes_back_without_a_slot_of_nobody(world):
    world.advance(0.5)
    assert world.join() == ["chat"]
    world.lose_slot()
    world.lose_connections()
    world.advance(3)
    assert world.masters_away == 0
    world.push("chat", OTHER)
    world.advance(0.5)
    assert world.pushed == ["chat"]
    assert "come back in a moment" in world.join()[0].detail
    world.find_slot()
    world.advance(2)
    assert world.join() == ["chat"]


def test_account_whose_slot_moves_for_long_is_named_once(world, lines):
    world.advance(0.5)
    assert world.join() == ["chat"]
    world.refusal_of_site = TRYAGAIN
    world.advance(3)
    assert not [line for line in lines if "site" in line]
    world.advance(12)
    (named,) = [line for line in lines if "site" in line]
    assert "redis-cli --cluster fix" in named
    assert "on its way" in named
    assert world.masters_away == 0


def test_cluster_without_a_map_is_told_in_the_log(world, lines):
    world.advance(0.5)
    world.state = "cluster_state:fail\r\ncluster_slots_assigned:16383\r\n"
    world.refusal_of_site = TRYAGAIN  # so that the map is read
    world.push("chat")
    world.advance(60)
    told = [line for line in lines if "masters of the cluster cannot be found" in line]
    assert len(told) in (1, 2)
    assert "1 slots of the cluster have no master: repair it with redis-cli --cluster fix" in told[0]
