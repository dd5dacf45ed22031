"""The engine of one master of a cluster: a `RedisEngine` whose accounts come and go."""

from collections.abc import Callable, Collection, Iterable

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.config.redis_url import RedisURL
from cometify.core.account import Account
from cometify.core.push import Draft, Receipt
from cometify.core.ring import Channel
from cometify.engine.redis import trial
from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.cluster.channels import ClusterChannels
from cometify.engine.redis.cluster.connection import ClusterConnection, Redirections, is_redirection
from cometify.engine.redis.cluster.held_pushes import HeldPushes
from cometify.engine.redis.cluster.slot_map import Master, name_in
from cometify.engine.redis.cluster.subscriber import ClusterSubscriber
from cometify.engine.redis.connection import RedisConnection
from cometify.engine.redis.connector import Connector
from cometify.engine.redis.engine import RedisEngine
from cometify.engine.redis.error_replies import AccountErrors, in_words
from cometify.engine.redis.first_contact import FirstContact
from cometify.engine.redis.place import RedisPlace
from cometify.engine.redis.session import RedisSession
from cometify.engine.redis.slots import SlotsOfAccounts
from cometify.interfaces import IAnnounce, ILost
from cometify.runtime.reactor import Reactor

NAMED_AFTER = 5.0
"""Seconds after which the log names an account that is refused because of its slot. Two that far apart are two moves."""
MOST_NAMES = 10_000
"""Accounts whose refusals are remembered."""

log = Logger()


@attrs.frozen
class Handover:
    """All that a node has of some accounts, on their way to the engine of another master."""

    states: list[AccountState]
    leaving: list[Channel]
    slots: SlotsOfAccounts


class ShardEngine(RedisEngine):
    """`url`: that of the cluster. `master`: the one whose accounts these are. `slots()`: those that it has. `node`: the name of
    this node at all masters. `until()`: when a request that comes now is refused, if the master was not reached before.
    """

    def __init__(
        self,
        reactor: Reactor,
        url: RedisURL,
        wait: int,
        announce: IAnnounce,
        lost: ILost,
        accounts: Iterable[Account],
        redirections: Redirections,
        master: Master,
        slots: Callable[[], Collection[int]],
        node: str,
        until: Callable[[], float],
    ) -> None:
        here = attrs.evolve(url, hosts=((master.host, master.port),))
        channels = ClusterChannels(node, master)
        connector = _ShardConnector(reactor, here, redirections, slots, master.mark)
        errors = _ErrorsInCluster(reactor.seconds)
        place = RedisPlace(node, channels, connector, errors, ClusterSubscriber, None)
        super().__init__(reactor, here, wait, announce, lost, accounts, place=place)
        self._first_contact = FirstContact(reactor, self._first_contact_over, until)
        self._held = HeldPushes(reactor, super().append)
        self.master = master
        self._own, self._suffix = channels.own, channels.suffix

    @property
    def session(self) -> RedisSession:
        """The session with this master."""
        return self._session

    @property
    def api_keys(self) -> set[str]:
        """The accounts that this node uses here."""
        return {*self._states, *self.slots.api_keys}

    def is_level(self) -> None:
        """Do not level the listeners of all nodes: only a process that has just started does."""
        self._levelling.stop()

    def connected(self) -> None:
        if self._session.pushes is not self._session.commands:
            # A WAIT tells of the replicas of this very master.
            assert isinstance(self._session.pushes, ClusterConnection)
            self._session.pushes.follows = False
        assert isinstance(self._session.subscription, ClusterConnection)
        assert isinstance(self._subscriber, ClusterSubscriber)
        self._session.subscription.ended = self._subscriber.ended
        super().connected()

    def heard(self, channel: bytes, text: bytes) -> None:
        super().heard(self._own if channel.endswith(self._suffix) else channel, text)

    def append(self, account: Account, draft: Draft) -> Deferred[Receipt]:
        if account.api_key in self._held.earlier:
            return self._held.append(account, draft)
        return super().append(account, draft)

    def give_away(self, api_keys: Collection[str]) -> Handover:
        """Give accounts away, because their slots are at another master."""
        states = [self._states.pop(api_key) for api_key in api_keys if api_key in self._states]
        assert isinstance(self._subscriber, ClusterSubscriber)
        self._subscriber.release(states)
        return Handover(states, self._leaving.give_away(api_keys), self.slots.give_away(api_keys))

    def take_over(self, handover: Handover) -> None:
        """Take over accounts whose slots were at another master. Their listeners go on without a gap if nothing was lost."""
        assert isinstance(self._subscriber, ClusterSubscriber)
        for other in handover.states:
            self._held.hold(other.account.api_key, other.pushes)
            present = self._states.get(other.account.api_key)
            if present is not None and not other.rings:
                continue  # a request that had waited at the old master has made this state
            if present is not None:
                self._subscriber.release([self._states.pop(other.account.api_key)])
            state = self._state(other.account)
            state.go_on_from(other)
            self._subscriber.take_over(state)
        for channel in handover.leaving:
            self._leaving.add(channel)
        self.slots.take_over(handover.slots)
        for other in handover.states:
            # Others may have taken this node for gone while the slot was on its way, and have freed the slots of its listeners.
            self.slots.report(other.account.api_key)


class _ShardConnector(Connector):
    """Makes connections to one master."""

    def __init__(
        self,
        reactor: Reactor,
        url: RedisURL,
        redirections: Redirections,
        slots: Callable[[], Collection[int]],
        mark: bytes,
    ) -> None:
        super().__init__(reactor, url)
        self._redirections = redirections
        self._slots = slots
        self._mark = mark

    def _make_connection(self) -> RedisConnection:
        return ClusterConnection(self._reactor.seconds, self._reactor.callLater, self._redirections, self._mark)

    async def _try_out(self, connection: RedisConnection) -> None:
        assert isinstance(connection, ClusterConnection)
        connection.follows = False
        await trial.check(connection, name_in(self._slots()))
        connection.follows = True


class _ErrorsInCluster(AccountErrors):
    """Does not log redirections, because they are usual here, unless an account is refused for long."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__(seconds)
        self._refused: dict[str, tuple[float, float]] = {}  # API keys, and when each was refused first and last

    def log(self, failure: Failure, api_key: str, command: str) -> None:
        if not is_redirection(failure):
            super().log(failure, api_key, command)
            return
        now = self._seconds()
        first, last = self._refused.pop(api_key, (now, now))
        if now - last > NAMED_AFTER:
            first = now
        if len(self._refused) >= MOST_NAMES:
            self._refused.clear()
        self._refused[api_key] = first, now
        if now - first >= NAMED_AFTER and self._may_log(api_key):
            log.error(
                "The account {api_key} is refused for {seconds:.0f} s now, because its slot is on its way to another master of "
                "the cluster, or has none: {reason}. Finish the move, or repair it with redis-cli --cluster fix. This is "
                "logged once a minute.",
                api_key=api_key,
                seconds=now - first,
                reason=in_words(failure).rstrip("."),
            )
