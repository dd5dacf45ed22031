"""Worlds beside each other: nodes of one Redis, to which the same time passes."""

from collections.abc import Iterator
from typing import Any

from tests.memory import Wire, World
from tests.redis import RedisConnection


class Nodes:
    """`first` and what is beside it. All are made while `World.redis` is set."""

    def __init__(self, first: World, count: int, **settings: Any) -> None:
        self.worlds = [first, *(World(beside=first, **settings) for _ in range(count - 1))]
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
        """Time passes on all nodes alike."""
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
        """Close the connections of nodes (of all, if none is named)."""
        for world in which or self.worlds:
            for transport in list(world.reactor.transports):
                transport.lose()
        self.settle()

    def find(self) -> None:
        """Let all reach Redis again."""
        for _ in range(20):
            self.advance(0.5)
            if all(world.server.engine.available for world in self.worlds):
                return
        raise AssertionError("Redis was not found again")

    def state(self) -> dict[bytes, tuple[int, bytes]]:
        """All that this Redis has."""
        return {key: (self.command("PTTL", key), self.command("DUMP", key)) for key in self.command("KEYS", "*")}

    def go_back(self, state: dict[bytes, tuple[int, bytes]]) -> None:
        """Redis is as it was once."""
        self.command("FLUSHDB")
        for key, (left, dumped) in state.items():
            self.command("RESTORE", key, max(left, 0), dumped)


def joined(wire: Wire) -> Wire:
    """A listener whose first frames were read."""
    frames = wire.frames()
    assert [frame["type"] for frame in frames if frame["type"] != "push"] == ["ready", "heartbeat"], frames
    return wire
