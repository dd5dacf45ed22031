"""Several worlds as nodes of one Redis. The same time passes for all of them."""

from collections.abc import Iterator
from typing import Any

from tests.memory import Wire, World
from tests.redis import RedisConnection
from tests.wire import API_KEY, request_bytes


class Nodes:
    """`first`, and more nodes beside it: `count` in all. `World.redis` must be set while they are made."""

    def __init__(self, first: World, count: int, **settings: Any) -> None:
        accounts = first.server.settings.accounts
        self.worlds = [first, *(World(*accounts, beside=first, **settings) for _ in range(count - 1))]
        assert World.redis is not None
        self.redis = RedisConnection(World.redis.path)
        self.command("SELECT", first.database)

    def __iter__(self) -> Iterator[World]:
        return iter(self.worlds)

    def __getitem__(self, index: int) -> World:
        return self.worlds[index]

    def command(self, *arguments: Any) -> Any:
        answer = self.redis.command(*arguments)
        assert not isinstance(answer, Exception), answer
        return answer

    def settle(self) -> None:
        for _ in range(3):
            for world in self.worlds:
                world.settle()

    def advance(self, seconds: float, step: float = 0.5) -> None:
        """Let the same time pass on all nodes."""
        while seconds > 0:
            for world in self.worlds:
                world.reactor.advance(min(step, seconds))
            self.settle()
            seconds -= step

    def jump(self, seconds: float) -> None:
        self.settle()
        for world in self.worlds:
            world._suspended += round(seconds * 1_000_000)
        self.settle()

    def cut(self, *which: World) -> None:
        """Close the connections of these nodes to Redis, or of all nodes if none is named."""
        for world in which or self.worlds:
            for transport in list(world.reactor.transports):
                transport.lose()
        self.settle()

    def find(self) -> None:
        """Let time pass until all nodes are ready again."""
        for _ in range(20):
            self.advance(0.5)
            if all(world.server.engine.available for world in self.worlds):
                return
        raise AssertionError("some node is not ready after ten seconds")

    def state(self) -> dict[bytes, tuple[int, bytes]]:
        """Everything that this Redis has: the time to live and the dump of each key."""
        return {key: (self.command("PTTL", key), self.command("DUMP", key)) for key in self.command("KEYS", "*")}

    def go_back(self, state: dict[bytes, tuple[int, bytes]]) -> None:
        """Put Redis back to an earlier state."""
        self.command("FLUSHDB")
        for key, (left, dumped) in state.items():
            self.command("RESTORE", key, max(left, 0), dumped)


def joined(wire: Wire) -> Wire:
    """Read the first frames of a listener, which must show that it has joined."""
    frames = wire.frames()
    assert [frame["type"] for frame in frames if frame["type"] != "push"] == ["ready", "heartbeat"], frames
    return wire


def half_joined(world: World, transport: str, query: str, turns: int) -> Wire:
    """A listener that has asked to join, and is not answered after so many turns of the reactor."""
    wire = world.connect()
    wire.transport.protocol.dataReceived(request_bytes("GET", f"/{API_KEY}/{transport}?{query}"))
    for _ in range(turns):
        world.reactor.advance(0)
        world.reactor.pump()
    assert not wire.answered
    return wire
