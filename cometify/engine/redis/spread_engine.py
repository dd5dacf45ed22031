"""The engine of several Redis, each with some of the accounts: see `IEngine`, and `spread.py` for which has which.

Each Redis has an engine of its own: a session, a subscription and the rings of its accounts. What fails fails alone. If one
Redis is away, its accounts are refused, and the others go on.

What is not of one account has its home at the first Redis of the list: accounts that are kept in Redis, their usage, the
operator's questions to all nodes, and the levelling of listeners.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from twisted.internet.defer import Deferred

from cometify.config.redis_url import RedisURL
from cometify.core.account import Account
from cometify.core.histogram import Histogram
from cometify.core.identifier_page import AskedNames, IdentifierDetails, IdentifierPage, Kept
from cometify.core.push import Draft, Receipt
from cometify.core.push_page import AskedPushes, PushPage
from cometify.core.quota import ClientKey
from cometify.core.revocation import Disconnect
from cometify.core.ring import Channel, RingBuffer
from cometify.core.webhook_events import Report, Taken
from cometify.engine.redis.cluster.unknown import UnknownEngine
from cometify.engine.redis.engine import RedisEngine
from cometify.engine.redis.latency_sum import SumOfHistograms
from cometify.engine.redis.spread import AccountsHere, Spread, remembered_home
from cometify.interfaces import EngineStats, IAnnounce, IDisconnect, IListenerCounts, ILost, RedisHealth
from cometify.runtime.reactor import Reactor

EngineOf = Callable[[str], "RedisEngine | UnknownEngine"]
"""Returns the engine of an account, by its API key."""


class SeveralEngines:
    """The calls of `IEngine` that are the same however accounts are spread.

    `engines`: those of all Redis, at any time. `queries` and `slots`: those of all engines.
    """

    _latency: Histogram

    def __init__(
        self, engines: Sequence[RedisEngine], engine_of: EngineOf, queries: "SpreadQueries", slots: "SpreadSlots"
    ) -> None:
        self._engines = engines
        self._of = engine_of
        self.queries = queries
        self.slots = slots
        self.webhooks = SpreadWebhooks(engine_of)

    @property
    def available(self) -> bool:
        return any(engine.available for engine in self._engines)

    def why_not_ready(self) -> str | None:
        """Return None while one Redis can be used, because all nodes would be without work otherwise if one is away."""
        reasons = [engine.why_not_ready() for engine in self._engines]
        return None if None in reasons else reasons[0]

    def redis_health(self) -> tuple[RedisHealth, ...]:
        return tuple(health for engine in self._engines for health in engine.redis_health())

    def start(self) -> None:
        for engine in self._engines:
            engine.start()

    def stop(self) -> None:
        for engine in self._engines:
            engine.stop()

    def append(self, account: Account, draft: Draft) -> Deferred[Receipt]:
        return self._of(account.api_key).append(account, draft)

    def watch_disconnects(self, disconnect: IDisconnect) -> None:
        for engine in self._engines:
            engine.watch_disconnects(disconnect)

    def disconnect(self, account: Account, disconnect: Disconnect, at: int, nonce: str | None) -> Deferred[int]:
        return self._of(account.api_key).disconnect(account, disconnect, at, nonce)

    def revoked_at(self, api_key: str, subject: str) -> float:
        return self._of(api_key).revoked_at(api_key, subject)

    def follow(
        self, account: Account, reach: Callable[[int], Mapping[str, int]], secret: Collection[str] = ()
    ) -> Deferred[Mapping[str, RingBuffer]]:
        return self._of(account.api_key).follow(account, reach, secret)

    def unfollow(self, channel: Channel) -> None:
        self._of(channel[0]).unfollow(channel)

    def position(self, account: Account) -> Deferred[int]:
        return self._of(account.api_key).position(account)

    def watermark(self, api_key: str) -> int:
        return self._of(api_key).watermark(api_key)

    def peek(self, channel: Channel) -> RingBuffer | None:
        return self._of(channel[0]).peek(channel)

    def stats(self) -> EngineStats:
        """Add up the figures of all. What is kept in a Redis that is away is not known, and so is not told for any."""
        stats = [engine.stats() for engine in self._engines]
        kept: dict[str, Kept] | None = {}
        for one in stats:
            kept = None if kept is None or one.kept is None else {**kept, **one.kept}
        copies = [one.copies for one in stats if one.copies is not None]
        return EngineStats(
            kept,
            Kept(sum(copy.pushes for copy in copies), sum(copy.bytes for copy in copies)),
            followed=sum(one.followed for one in stats),
            latency=self._latency,
        )

    def expire(self) -> bool:
        more = False
        for engine in self._engines:
            more = engine.expire() or more
        return more


class SpreadEngine(SeveralEngines):
    """The arguments are those of `RedisEngine`. `url`: the first Redis, with the others."""

    def __init__(
        self, reactor: Reactor, url: RedisURL, wait: int, announce: IAnnounce, lost: ILost, accounts: Iterable[Account]
    ) -> None:
        names = tuple(one.spread_name for one in url.all)
        by_name: dict[str, RedisEngine] = {}
        for one in url.all:
            spread = Spread(one.spread_name, names)
            own = AccountsHere(accounts, spread)
            by_name[spread.name] = RedisEngine(reactor, one, wait, announce, lost, own, spread)
        home = remembered_home(names)
        engines = tuple(by_name.values())

        def engine_of(api_key: str) -> RedisEngine:
            return by_name[home(api_key)]

        super().__init__(engines, engine_of, SpreadQueries(engines, engine_of), SpreadSlots(engines, engine_of))
        self.usage, self.nodes = engines[0].usage, engines[0].nodes
        self.leave, self.level_with = engines[0].leave, engines[0].level_with
        self._latency = SumOfHistograms([engine.latency for engine in engines])


class SpreadQueries:
    """See `IQueries`. Each question goes to the engine of its account."""

    def __init__(self, engines: Sequence[RedisEngine], engine_of: EngineOf) -> None:
        self._engines = engines
        self._of = engine_of

    def count_with(self, counts: IListenerCounts) -> None:
        for engine in self._engines:
            engine.queries.count_with(counts)

    def use_nonce(self, account: Account, nonce: str) -> Deferred[None]:
        return self._of(account.api_key).queries.use_nonce(account, nonce)

    def pushes(self, account: Account, identifier: str, asked: AskedPushes) -> Deferred[PushPage]:
        return self._of(account.api_key).queries.pushes(account, identifier, asked)

    def identifiers(self, account: Account, asked: AskedNames) -> Deferred[IdentifierPage]:
        return self._of(account.api_key).queries.identifiers(account, asked)

    def identifier(self, account: Account, identifier: str) -> Deferred[IdentifierDetails]:
        return self._of(account.api_key).queries.identifier(account, identifier)


class SpreadSlots:
    """See `ISlots`. An account's slots are counted at its Redis."""

    def __init__(self, engines: Sequence[RedisEngine], engine_of: EngineOf) -> None:
        self._engines = engines
        self._of = engine_of

    def watch(self, moved: Callable[[ClientKey, str], None]) -> None:
        for engine in self._engines:
            engine.slots.watch(moved)

    def name(self, number: int) -> str:
        return self._engines[0].slots.name(number)

    def take(self, client_key: ClientKey, account: Account, listener: str) -> Deferred[None]:
        return self._of(account.api_key).slots.take(client_key, account, listener)

    def leave(self, client_key: ClientKey, listener: str) -> None:
        self._of(client_key[0]).slots.leave(client_key, listener)


class SpreadWebhooks:
    """See `IWebhookEvents`. An account's events wait at its Redis."""

    def __init__(self, engine_of: EngineOf) -> None:
        self._of = engine_of

    def report(self, api_key: str, report: Report, *, again: bool) -> Deferred[bool]:
        return self._of(api_key).webhooks.report(api_key, report, again=again)

    def take(self, api_key: str) -> Deferred[Taken]:
        return self._of(api_key).webhooks.take(api_key)

    def done(self, api_key: str, number: int, *, given_up: bool) -> Deferred[None]:
        return self._of(api_key).webhooks.done(api_key, number, given_up=given_up)

    def forget(self, api_key: str) -> None:
        self._of(api_key).webhooks.forget(api_key)
