"""The parts of an account's or a node's affairs that a cluster has in one place, or sets up at each master.

Whatever is not of one account has the hash tag of `HOME`, and so its home is the master of this slot: the usage of all
accounts, the questions of operators to all nodes, and the levelling of listeners.
"""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.core.quota import ClientKey
from cometify.engine.redis import unavailable
from cometify.engine.redis.cluster.shard_engine import ShardEngine
from cometify.engine.redis.cluster.slot_map import HOME
from cometify.engine.redis.connection import Argument, RedisConnection
from cometify.engine.redis.scripts import Script
from cometify.engine.redis.spread_engine import EngineOf, SpreadQueries, SpreadSlots
from cometify.engine.redis.usage import RedisUsage
from cometify.interfaces import IListenerCounts

Home = Callable[[], ShardEngine | None]
"""Returns the engine of the home, None while it is not known."""
SetUp = list[Callable[[ShardEngine], object]]
"""Calls that each engine gets before it starts."""


class HomeUsage(RedisUsage):
    """The usage of all accounts, at the home."""

    def __init__(self, home: Home, node: str) -> None:
        self._home = home
        super().__init__(self, node, self._ask, HOME + b":usage", _usage_of)

    @property
    def commands(self) -> RedisConnection | None:
        """The connection to the home."""
        home = self._home()
        return None if home is None else home.session.commands

    @property
    def is_ready(self) -> bool:
        """True while the home takes commands."""
        home = self._home()
        return home is not None and home.available

    def _ask(self, script: Script[Any], account: Account, *args: Argument) -> Deferred[Any]:
        commands = self.commands
        if commands is None or not self.is_ready:
            return defer.fail(unavailable.not_followed())
        answered = commands.run(script, _usage_of(account.api_key), *args)
        return answered.addErrback(lambda _failure: defer.fail(unavailable.not_followed()))


def _usage_of(api_key: str) -> bytes:
    return b"%b:%b" % (HOME, api_key.encode())


class ClusterNodes:
    """See `INodes`."""

    def __init__(self, home: Home, set_up: SetUp) -> None:
        self._home = home
        self._set_up = set_up

    def answer_with(self, answer: Callable[[str], bytes]) -> None:
        self._set_up.append(lambda engine: engine.nodes.answer_with(answer))

    def ask(self, question: str) -> Deferred[list[bytes]]:
        home = self._home()
        return defer.fail(unavailable.not_followed()) if home is None else home.nodes.ask(question)


class ClusterQueries(SpreadQueries):
    """See `IQueries`."""

    def __init__(self, engines: Sequence[ShardEngine], engine_of: EngineOf, set_up: SetUp) -> None:
        super().__init__(engines, engine_of)
        self._set_up = set_up

    def count_with(self, counts: IListenerCounts) -> None:
        self._set_up.append(lambda engine: engine.queries.count_with(counts))


class ClusterSlots(SpreadSlots):
    """See `ISlots`."""

    def __init__(self, node: str, engine_of: EngineOf, set_up: SetUp) -> None:
        super().__init__((), engine_of)
        self._node = node
        self._set_up = set_up

    def watch(self, moved: Callable[[ClientKey, str], None]) -> None:
        self._set_up.append(lambda engine: engine.slots.watch(moved))

    def name(self, number: int) -> str:
        return f"#{self._node}:{number}"
