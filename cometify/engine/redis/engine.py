"""The engine of several nodes, over Redis: see `IEngine`, and the theory of operation in this package's docstring."""

from collections.abc import Callable, Collection, Iterable
from math import inf
from typing import TypeVar

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from txredisapi import ResponseError

from cometify.config.redis_url import RedisURL
from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.histogram import Histogram
from cometify.core.identifier_page import Kept
from cometify.core.push import Draft, Receipt
from cometify.core.revocation import Disconnect
from cometify.core.ring import Channel, RingBuffer
from cometify.engine.redis import unavailable
from cometify.engine.redis.account_state import AccountState, name_of
from cometify.engine.redis.connection import Answer, Argument
from cometify.engine.redis.disconnects import RedisDisconnects
from cometify.engine.redis.error_replies import is_of_one_account
from cometify.engine.redis.first_contact import FirstContact
from cometify.engine.redis.forgetting import forget_quiet
from cometify.engine.redis.health import health_of
from cometify.engine.redis.kept_figures import KeptFigures
from cometify.engine.redis.leaving import LeavingChannels
from cometify.engine.redis.levelling import MARK as LEVELLING
from cometify.engine.redis.levelling import Levelling
from cometify.engine.redis.memory_watch import MemoryWatch
from cometify.engine.redis.nodes import MARK, RedisNodes
from cometify.engine.redis.place import RedisPlace, own_place
from cometify.engine.redis.positions import PositionQuestions
from cometify.engine.redis.pushes import RedisPushes
from cometify.engine.redis.queries import RedisQueries
from cometify.engine.redis.read_batch import Reach, Rings
from cometify.engine.redis.reader import Reader
from cometify.engine.redis.replica_wait import ReplicaWait
from cometify.engine.redis.scripts import Script
from cometify.engine.redis.session import RedisSession
from cometify.engine.redis.slots import REPORT_EVERY, RedisSlots
from cometify.engine.redis.spread import Spread
from cometify.engine.redis.usage import RedisUsage
from cometify.engine.redis.webhooks import RedisWebhooks
from cometify.interfaces import EngineStats, IAnnounce, IDisconnect, ILost, RedisHealth
from cometify.runtime.reactor import Reactor

T = TypeVar("T")


class RedisEngine:
    """`announce`: called for every push of a followed channel, once, in the order of positions. `lost`: see `ILost`.

    `wait`: the number of replicas that must have a push before it is published and its publisher is answered. `accounts`:
    those of this server, at any time. `spread`: the list of all Redis, if there may be several. `place`: see `RedisPlace`.

    The engine is unavailable until `start` has reached Redis. Requests that come before wait for that: see
    `FirstContact`.
    """

    def __init__(
        self,
        reactor: Reactor,
        url: RedisURL,
        wait: int,
        announce: IAnnounce,
        lost: ILost,
        accounts: Iterable[Account],
        spread: Spread | None = None,
        place: RedisPlace | None = None,
    ) -> None:
        self._reactor = reactor
        self._announce = announce
        self._lost = lost
        place = place or own_place(reactor, url, spread)
        node, channels, self._account_errors = place.node, place.channels, place.account_errors
        self._session = RedisSession(reactor, url, self, place.connector, separate_pushes=wait > 0)
        self._states: dict[str, AccountState] = {}
        self._subscriber = place.subscriber(
            self._session, node, channels, self._states, reactor.callLater, self._caught_up, self._account_errors
        )
        self._replica_wait = ReplicaWait(wait, reactor, self._session.reset_by)
        self._memory_watch = MemoryWatch(str(url), reactor.seconds)
        self._record = place.record
        self._kept_figures = KeptFigures(self._session, accounts, reactor.seconds, in_cluster=place.record is None)
        self._pushes = RedisPushes(
            self._session, channels.of_accounts, self._replica_wait, self._state, self._is_of_account, reactor
        )
        self._levelling = Levelling(self._session, channels, reactor.callLater)
        self.leave, self.level_with = self._levelling.leave, self._levelling.level_with
        self.slots = RedisSlots(self._run, self._wait_for_redis, node, channels.of_nodes, reactor.callLater)
        self.webhooks = RedisWebhooks(self._run, node)
        self._leaving = LeavingChannels(reactor.seconds, self._states, self._subscriber)
        link, call_later = (self._session, channels.own, channels.everybody), reactor.callLater
        self._disconnects = RedisDisconnects(*link, self._states, call_later, self._is_of_account)
        self.queries = RedisQueries(
            *link, self._states, self._replica_wait, call_later, self._wait_for_redis, self._not_answered
        )
        self.usage = RedisUsage(self._session, node, self.queries.run)
        self.nodes = RedisNodes(*link, call_later)
        self._positions = PositionQuestions(self._session, Reader(node, channels), call_later, self._not_answered)
        self._reported_at = 0.0
        self._first_contact: FirstContact | None = FirstContact(reactor, self._first_contact_over)

    @property
    def available(self) -> bool:
        return self._session.is_ready

    def why_not_ready(self) -> str | None:
        if not self.available:
            return "engine_unavailable"
        return "replicas_missing" if self._replica_wait.is_short else None

    @property
    def latency(self) -> Histogram:
        """See `RedisSession`."""
        return self._session.latency

    def redis_health(self) -> tuple[RedisHealth, ...]:
        return (health_of(self._session, self._replica_wait, self._memory_watch),)

    def start(self) -> None:
        self._session.start()

    def stop(self) -> None:
        self.slots.free_all()
        self._session.stop()
        self._levelling.stop()
        if self._first_contact is not None:
            self._first_contact.close()

    # The session: see `SessionOwner`.

    def connected(self) -> None:
        self._subscriber.begin_again()

    def _caught_up(self) -> None:
        self._session.caught_up()
        self._levelling.caught_up()
        self._report_slots()
        self._look_around()
        if self._first_contact is not None:
            self._first_contact.redis_is_there()

    def _first_contact_over(self) -> None:
        self._first_contact = None

    def disconnected(self) -> None:
        self._subscriber.give_up(unavailable.not_followed)

    def heard(self, channel: bytes, text: bytes) -> None:
        if text.startswith(MARK):
            self.nodes.heard(text[len(MARK) :])
        elif text.startswith(b"!"):
            (self.slots if text.startswith(b"![") else self._disconnects).heard(text[1:])
        elif text.startswith(b"@"):
            self._levelling.heard(text[2:]) if text.startswith(LEVELLING) else self.queries.heard(text[1:])
        else:
            self._subscriber.heard(channel, text)

    def beat(self) -> None:
        if not self.available:
            return
        self._subscriber.beat(self._publish_unconfirmed)
        self._look_around()
        self._kept_figures.beat()
        if self._reactor.seconds() - self._reported_at > REPORT_EVERY:
            self._report_slots()

    def _look_around(self) -> None:
        """Find out what Redis tells of itself: its memory, and its replicas."""
        if self._session.commands is not None:
            self._memory_watch.look(self._session.commands)
            if self._record is not None:
                self._record.beat(self._session.commands)
        if self._replica_wait.replicas and self._session.pushes is not None:
            self._replica_wait.look(self._session.pushes)

    def _publish_unconfirmed(self, state: AccountState, position: int) -> None:
        """Publish pushes that wait for replicas. The node that pushed them may have died meanwhile."""
        pushes = self._session.pushes
        if pushes is not None:
            self._replica_wait.publish_unconfirmed(pushes, state.name, position)

    def _report_slots(self) -> None:
        self._reported_at = self._reactor.seconds()
        self.slots.report()

    def _run(self, script: Script[Answer], api_key: str, *args: Argument) -> Deferred[Answer] | None:
        commands = self._session.commands
        if commands is None or not self.available:
            return None
        answered = commands.run(script, name_of(api_key), *args)
        return answered.addErrback(self._not_answered, api_key, script.name)

    def _wait_for_redis(self) -> Deferred[None] | None:
        return None if self._first_contact is None else self._first_contact.wait(unavailable.not_followed)

    def _when_there(self, refusal: Callable[[], Refused], call: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Call now, or once Redis has been reached for the first time."""
        if self._first_contact is None:
            return call()
        return self._first_contact.wait(refusal).addCallback(lambda _none: call())

    # Pushing.

    def _state(self, account: Account) -> AccountState:
        state = self._states.get(account.api_key)
        if state is None:
            revocations = self._disconnects.revocations(account.api_key)
            state = AccountState(account, self._announce, self._lost, self.slots.report, revocations)
            self._states[account.api_key] = state
        state.account = account
        state.quiet_since = None
        return state

    def append(self, account: Account, draft: Draft) -> Deferred[Receipt]:
        if self._first_contact is not None:
            return self._first_contact.wait(unavailable.nothing_pushed).addCallback(
                lambda _none: self._pushes.append(account, draft)
            )
        return self._pushes.append(account, draft)

    def _not_answered(self, failure: Failure, api_key: str, command: str) -> Failure:
        """Errback of a script that pushes nothing: turn an error into a refusal."""
        if self._is_of_account(failure, api_key, command):
            return Failure(unavailable.account_not_followed())
        return Failure(unavailable.not_followed())

    def _is_of_account(self, failure: Failure, api_key: str, command: str) -> bool:
        """True if an error is one account's, which is logged. If it is about Redis as a whole, the session is reset."""
        if is_of_one_account(failure):
            self._account_errors.log(failure, api_key, command)
            return True
        if failure.check(ResponseError):
            self._session.reset_by(failure)
        return False

    # Disconnecting.

    def watch_disconnects(self, disconnect: IDisconnect) -> None:
        self._disconnects.end = disconnect

    def disconnect(self, account: Account, disconnect: Disconnect, at: int, nonce: str | None) -> Deferred[int]:
        return self._when_there(
            unavailable.nobody_disconnected, lambda: self._disconnects.ask(account, disconnect, at, nonce)
        )

    def revoked_at(self, api_key: str, subject: str) -> float:
        state = self._states.get(api_key)
        return -inf if state is None else state.revocations.at(subject)

    # Following.

    def follow(self, account: Account, reach: Reach, secret: Collection[str] = ()) -> Deferred[Rings]:
        return self._when_there(unavailable.not_followed, lambda: self._follow(account, reach, secret))

    def _follow(self, account: Account, reach: Reach, secret: Collection[str]) -> Deferred[Rings]:
        if not self.available:
            return defer.fail(unavailable.not_followed())
        followed = self._subscriber.follow(self._state(account), reach, secret)
        return followed.addCallback(self._followed, account.api_key)

    def _followed(self, rings: Rings, api_key: str) -> Rings:
        for name in rings:
            self._leaving.discard((api_key, name))
        return rings

    def unfollow(self, channel: Channel) -> None:
        self._leaving.add(channel)

    def position(self, account: Account) -> Deferred[int]:
        return self._when_there(unavailable.not_followed, lambda: self._positions.ask(self._state(account)))

    def watermark(self, api_key: str) -> int:
        state = self._states.get(api_key)
        return 0 if state is None else state.watermark

    def peek(self, channel: Channel) -> RingBuffer | None:
        state = self._states.get(channel[0])
        return None if state is None else state.rings.get(channel[1])

    def stats(self) -> EngineStats:
        rings = [state.account_rings for state in self._states.values()]
        kept = self._kept_figures.read()
        return EngineStats(
            None if kept is None else {**dict.fromkeys(self._states, Kept()), **kept},
            Kept(sum(one.count() for one in rings), sum(one.kept_bytes for one in rings)),
            followed=sum(len(state.rings) for state in self._states.values()),
            latency=self._session.latency,
        )

    def expire(self) -> bool:
        forget_quiet(self._states, self._reactor.seconds())
        more_pushes = any(state.expire() for state in self._states.values())
        return self._leaving.leave_some() or more_pushes
