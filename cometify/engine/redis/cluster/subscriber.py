"""Hearing and reading the accounts of one master of a cluster, whose accounts come and go."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from cometify.core.push import Push
from cometify.engine.redis import unavailable
from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.cluster.channels import ClusterChannels
from cometify.engine.redis.cluster.connection import is_redirection
from cometify.engine.redis.connection import RedisConnection
from cometify.engine.redis.read_batch import Reach, ReadBatch, Rings
from cometify.engine.redis.subscriber import Subscriber


class ClusterSubscriber(Subscriber):
    """A `Subscriber` that gives accounts away, and takes over those of others."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._unsubscribed: set[AccountState] = set()  # accounts set aside whose channels are not subscribed to

    def follow(self, state: AccountState, reach: Reach, secret: Collection[str]) -> Deferred[Rings]:
        """See `Subscriber.follow`. An account on its way is refused for a moment, and nothing is wrong with its keys."""
        if state in self._unread or state in self._unsubscribed:
            return fail(unavailable.not_followed())
        return super().follow(state, reach, secret)

    def release(self, states: Iterable[AccountState]) -> None:
        """Give accounts away. Their joins are refused, because the pushes for them are read elsewhere now."""
        for state in states:
            # No UNSUBSCRIBE: Redis has ended these subscriptions, or is gone.
            self._channels.remove(state, [*state.rings, *state.starting])
            self._unread.discard(state)
            self._set_aside.discard(state)
            self._unsubscribed.discard(state)
            self._refused_joins.add(state.give_up(), unavailable.not_followed)
        self._tell_caught_up()

    def take_over(self, state: AccountState) -> None:
        """Go on with an account from where it was heard to elsewhere. If Redis is away, `begin_again` does it later."""
        names = self._channels.add(state, state.rings)
        self._go_on(state, names)

    def _go_on(self, state: AccountState, names: list[bytes]) -> None:
        commands, subscription = self._session.commands, self._session.subscription
        if commands is None or subscription is None or not (state.rings or state.last_known):
            return
        self._unread.add(state)
        batch = state.begin_again()
        subscribed: Deferred[None] = subscription.subscribe(names) if names else succeed(None)
        subscribed.addErrback(self._not_subscribed, state)
        read = subscribed.addCallback(lambda _none: self._read(state, batch, commands))
        self._session.must(read.addErrback(self._not_read, state, batch, commands), commands)

    @staticmethod
    def _heard_before_seam(state: AccountState, batch: ReadBatch) -> list[Push] | None:
        """See `AccountState`. An account without rings has no seam, because this node hears nothing of it, not even its
        watermarks. Its answer is all that there is: Redis has looked for the push at `last_known`.
        """
        return state.heard_before_seam(batch) if state.rings else []

    def ended(self, channel: bytes) -> None:
        """Redis has ended a subscription, because the slot of an account goes. The account is set aside, and is subscribed to
        again with the next beat. Until then the map may name another master. It need not: the slot can be back by then.
        """
        found = self._channels.find(channel)
        if found is not None and self._states.get(found[0].account.api_key) is found[0]:
            self._set_apart(found[0])

    def _set_apart(self, state: AccountState) -> None:
        if state in self._unsubscribed and state in self._set_aside:
            return  # another one of its channels was ended before
        self._unread.discard(state)
        self._set_aside.add(state)
        self._unsubscribed.add(state)
        self._unsubscribe(state, list(state.starting))
        self._refused_joins.add(state.set_aside(), unavailable.not_followed)
        self._tell_caught_up()

    def _not_subscribed(self, failure: Failure, state: AccountState) -> Failure:
        if is_redirection(failure):
            self._unsubscribed.add(state)
        return failure

    def begin_again(self) -> None:
        """See `Subscriber.begin_again`. Each account is subscribed to by itself, because its slot alone can be refused."""
        commands, subscription = self._session.commands, self._session.subscription
        assert commands is not None
        assert subscription is not None
        assert isinstance(self._channels, ClusterChannels)
        self._set_aside.clear()
        self._unsubscribed.clear()
        self._unread = {state for state in self._states.values() if state.rings or state.last_known}
        subscribed = subscription.subscribe(self._channels.plain)
        self._session.must(subscribed.addCallback(self._go_on_with_all, commands), commands)

    def _go_on_with_all(self, _none: None, commands: RedisConnection) -> None:
        if commands is not self._session.commands:
            return
        for state in list(self._states.values()):
            self._go_on(state, self._names(state))
        self._tell_caught_up()

    def _names(self, state: AccountState) -> list[bytes]:
        assert isinstance(self._channels, ClusterChannels)
        names = [self._channels.name(state, name) for name in state.rings]
        return [self._channels.watermarks(state), *names] if names else []

    def beat(self, unconfirmed: Callable[[AccountState, int], None]) -> None:
        """See `Subscriber.beat`. An account that could not be subscribed to is tried again as a whole."""
        again = {state for state in self._unsubscribed & self._set_aside if state.rings}
        self._unsubscribed.clear()
        self._set_aside -= again
        for state in again:
            self._go_on(state, self._names(state))
        super().beat(unconfirmed)
