"""The engine of a cluster: see `IEngine`, and the theory of operation in this package's docstring."""

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache, partial

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from cometify.config.redis_url import RedisURL
from cometify.core.account import Account
from cometify.core.histogram import Histogram
from cometify.engine.redis.account_state import name_of
from cometify.engine.redis.cluster.home import ClusterNodes, ClusterQueries, ClusterSlots, HomeUsage
from cometify.engine.redis.cluster.map_watch import MapWatch
from cometify.engine.redis.cluster.redirector import Redirector
from cometify.engine.redis.cluster.shard_engine import ShardEngine
from cometify.engine.redis.cluster.slot_map import HOME, Master, SlotMap, slot_of
from cometify.engine.redis.cluster.unknown import UnknownEngine
from cometify.engine.redis.latency_sum import SumOfHistograms
from cometify.engine.redis.session import RedisSession
from cometify.engine.redis.spread_engine import SeveralEngines
from cometify.interfaces import IAnnounce, IDisconnect, ILost, RedisHealth
from cometify.runtime.reactor import Reactor

RETIRED_AFTER = 2.0
"""Seconds for which a master without slots stays connected, for the answers that are on their way."""

NEW_MASTER_WITHIN = 0.5
"""Seconds for which requests wait for a master that is new, as after a failover. Then they are refused as if it were away."""

REMEMBERED = 100_000
"""Accounts whose slot is remembered, because a push asks for it."""

log = Logger()


@lru_cache(REMEMBERED)
def _slot_of_account(api_key: str) -> int:
    return slot_of(name_of(api_key))


class ClusterEngine(SeveralEngines):
    """The arguments are those of `RedisEngine`. `url`: nodes of the cluster, of which one must answer."""

    def __init__(
        self, reactor: Reactor, url: RedisURL, wait: int, announce: IAnnounce, lost: ILost, accounts: Iterable[Account]
    ) -> None:
        self._reactor = reactor
        self._url = url
        self._wait = wait
        self._heard_by = announce, lost
        self._accounts = accounts
        self._node = secrets.token_hex(8)
        self._map: SlotMap = ()
        self._by_master: dict[Master, ShardEngine] = {}
        self._retired: dict[ShardEngine, IDelayedCall] = {}
        self._set_up: list[Callable[[ShardEngine], object]] = []
        self._latencies = [Histogram()]
        self._watch = MapWatch(reactor, url, self._adopt, self._is_well, self._hosts)
        self._redirector = Redirector(reactor, self._watch, self._session_of)
        self._unknown = UnknownEngine(reactor, self._known)
        self._engines: list[ShardEngine] = []
        super().__init__(
            self._engines,
            self._engine_of,
            ClusterQueries(self._engines, self._engine_of, self._set_up),
            ClusterSlots(self._node, self._engine_of, self._set_up),
        )
        self.nodes = ClusterNodes(self.home, self._set_up)
        self.usage = HomeUsage(self.home, self._node)
        self._latency = SumOfHistograms(self._latencies)

    # The masters.

    def _known(self, api_key: str) -> ShardEngine:
        return self._by_master[self.master_of(api_key)]

    def _engine_of(self, api_key: str) -> ShardEngine | UnknownEngine:
        return self._known(api_key) if self._map else self._unknown

    def _session_of(self, name: bytes) -> RedisSession:
        return self._by_master[self._map[slot_of(name)]].session

    def home(self) -> ShardEngine | None:
        """The engine of the master that has all that is not of one account. None while it is not known."""
        return self._by_master[self._map[slot_of(HOME)]] if self._map else None

    def _slots_of(self, master: Master) -> Collection[int]:
        return {slot for slot, one in enumerate(self._map) if one is master and slot not in self._watch.unserved}

    def _is_well(self) -> bool:
        return bool(self._map) and self.available and all(engine.available for engine in self._engines)

    def _hosts(self) -> Iterator[tuple[str, int]]:
        """Yield the nodes to ask for the map: those that are there, and then all that are known."""
        for engine in sorted(self._engines, key=lambda engine: not engine.available):
            yield engine.master.host, engine.master.port
        yield from self._url.hosts

    def master_of(self, api_key: str) -> Master:
        """The master of an account. The map must be known."""
        return self._map[_slot_of_account(api_key)]

    def _adopt(self, slot_map: SlotMap) -> None:
        """Send accounts to the masters that have their slots now."""
        if slot_map == self._map:
            return
        is_first, self._map = not self._map, slot_map
        before, masters = set(self._by_master), dict.fromkeys(slot_map)
        for master in masters:
            if master not in self._by_master:
                engine = self._by_master[master] = self._make(master)
                if not is_first or master != slot_map[slot_of(HOME)]:
                    engine.is_level()  # only a process that has just started levels, and only once
        self._engines[:] = self._by_master.values()
        for engine in self._engines:
            self._move_from(engine)
        for master in [master for master in self._by_master if master not in masters]:
            self._retire(self._by_master.pop(master))
        self._engines[:] = self._by_master.values()
        if before != set(masters):
            log.info("The masters of the cluster are {masters}", masters=", ".join(map(str, masters)))
        if is_first:
            self._unknown.go_on()

    def _make(self, master: Master) -> ShardEngine:
        own = _AccountsAt(self._accounts, self, master)
        slots = partial(self._slots_of, master)
        until = self._soon if self._engines else self._unknown.until
        engine = ShardEngine(
            self._reactor,
            self._url,
            self._wait,
            *self._heard_by,
            own,
            self._redirector,
            master,
            slots,
            self._node,
            until,
        )
        for set_up in self._set_up:
            set_up(engine)
        self._latencies.append(engine.latency)
        engine.start()
        return engine

    def _soon(self) -> float:
        return self._reactor.seconds() + NEW_MASTER_WITHIN

    def _move_from(self, engine: ShardEngine) -> None:
        """Give the accounts of an engine to the engines of the masters that have them now."""
        moved: dict[ShardEngine, list[str]] = {}
        for api_key in engine.api_keys:
            target = self._known(api_key)
            if target is not engine:
                moved.setdefault(target, []).append(api_key)
        for target, api_keys in moved.items():
            target.take_over(engine.give_away(frozenset(api_keys)))
            log.info("{master} is the master of {count} accounts now", master=str(target.master), count=len(api_keys))

    def _retire(self, engine: ShardEngine) -> None:
        self._retired[engine] = self._reactor.callLater(RETIRED_AFTER, self._end, engine)

    def _end(self, engine: ShardEngine) -> None:
        del self._retired[engine]
        engine.stop()

    # See `IEngine`.

    def why_not_ready(self) -> str | None:
        return super().why_not_ready() if self._engines else "engine_unavailable"

    def redis_health(self) -> tuple[RedisHealth, ...]:
        if self._engines:
            return super().redis_health()
        absence = self._watch.absence
        return (RedisHealth(absence.where, False, absence.losses, None, self._wait, absence.reason),)

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._watch.stop()
        self._unknown.close()
        for ends in self._retired.values():
            ends.cancel()
        for engine in (*self._engines, *self._retired):
            engine.stop()

    def level_with(self, count: Callable[[], int], send_away: Callable[[int], object]) -> None:
        self._set_up.append(lambda engine: engine.level_with(count, send_away))

    def leave(self) -> Deferred[bool]:
        home = self.home()
        return succeed(True) if home is None else home.leave()

    def watch_disconnects(self, disconnect: IDisconnect) -> None:
        self._set_up.append(lambda engine: engine.watch_disconnects(disconnect))


@attrs.frozen
class _AccountsAt:
    """Those of `accounts`, at any time, whose slots are at a master."""

    accounts: Iterable[Account]
    cluster: ClusterEngine
    master: Master

    def __iter__(self) -> Iterator[Account]:
        return (account for account in self.accounts if self.cluster.master_of(account.api_key) is self.master)
