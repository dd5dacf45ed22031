"""See `IEngine`, over Redis."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from txredisapi import RedisError, ResponseError

from cometify.config.redis_url import RedisURL
from cometify.core import errors
from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.frames import push_head
from cometify.core.push import Draft, Receipt
from cometify.core.ring import Channel, RingBuffer
from cometify.engine import refusals
from cometify.engine.redis.account_state import AccountState, name_of
from cometify.engine.redis.replica_wait import ReplicaWait
from cometify.engine.redis.scripts import APPEND, Script
from cometify.engine.redis.session import RedisSession
from cometify.engine.redis.slots import SAY_AGAIN, RedisSlots
from cometify.engine.redis.subscriber import Subscriber
from cometify.interfaces import EngineStats, IAnnounce, ILost

LINGER = 60
"""Seconds that a channel stays followed after its last listener has left: page loads come in bursts."""
MOST_IN_FLIGHT = 20_000
"""Commands that wait for an answer at once."""


class RedisEngine:
    """`announce`: told of every push that is followed, once, in the order of positions; `lost`: of rings that have lost.
    `wait`: how many replicas must have a push before it is published and its publisher answered.

    It is away from the beginning on, until `start` has reached Redis.
    """

    def __init__(self, reactor: Any, location: RedisURL, wait: int, announce: IAnnounce, lost: ILost) -> None:
        self._reactor = reactor
        self._announce = announce
        self._lost = lost
        self._node = secrets.token_hex(8)
        self._prefix = f"cometify:{location.database}:"
        self._session = RedisSession(reactor, location, self, apart=wait > 0)
        self._states: dict[str, AccountState] = {}
        self._leaving: dict[Channel, float] = {}
        self._following = Subscriber(
            self._session, self._node, self._prefix, self._states, reactor.callLater, self._found
        )
        self._replica_wait = ReplicaWait(wait, reactor.callLater)
        self.slots = RedisSlots(self._run, self._node, f"{self._prefix}node:")
        self._said_again = 0.0
        self.available = False

    # In touch with Redis, or not: see `SessionOwner`.

    def start(self) -> None:
        self._session.start()

    def stop(self) -> None:
        self._session.stop()

    def connected(self) -> None:
        """The rings must be made whole, then everything goes on."""
        self._following.begin_again()

    def _found(self) -> None:
        self._session.found()
        self.available = True
        self._say_places_again()

    def disconnected(self) -> None:
        """Who waits is told that it may come again."""
        self.available = False
        self._following.give_up(_not_followed)

    def heard(self, channel: bytes, text: bytes) -> None:
        """Something was published that this node has subscribed to."""
        if text.startswith(b"!"):
            self.slots.heard(text[1:])
        else:
            self._following.heard(channel, text)

    def beat(self) -> None:
        """Say how late it is, for each account that is listened to."""
        if not self.available:
            return
        self._following.beat(self._say_unsaid)
        if self._reactor.seconds() - self._said_again > SAY_AGAIN:
            self._say_places_again()

    def _say_unsaid(self, state: AccountState, position: int) -> None:
        """Pushes wait to be published that their own node, perhaps, has not lived to see."""
        pushes = self._session.pushes
        if pushes is not None:
            # Something to wait for on this connection: what came before it on others has arrived then, too.
            pushes.execute_command(b"HSET", state.name, b"again", position).addErrback(lambda _failure: None)
            self._replica_wait.confirm(pushes, state.name, position).addErrback(lambda _failure: None)

    def _say_places_again(self) -> None:
        self._said_again = self._reactor.seconds()
        self.slots.say_again()

    def _run(self, script: Script, api_key: str, *args: Any) -> Deferred[Any] | None:
        commands = self._session.commands
        if commands is None or not self.available:
            return None
        return commands.run(script, name_of(api_key), *args).addErrback(self._not_taken)

    # Pushing.

    def _state(self, account: Account) -> AccountState:
        state = self._states.get(account.api_key)
        if state is None:
            state = self._states[account.api_key] = AccountState(
                account, self._announce, self._lost, self.slots.say_again
            )
        state.account = account
        return state

    def append(self, account: Account, draft: Draft) -> Deferred[Receipt]:
        pushes = self._session.pushes
        if pushes is None or not self.available:
            return defer.fail(_unavailable())
        if len(pushes) > MOST_IN_FLIGHT:
            return defer.fail(
                Refused(
                    errors.OVERLOADED, "More is pushed than Redis takes; nothing was pushed: push again in a moment."
                )
            )
        state = self._state(account)
        name = draft.identifier.folded
        remembers = draft.signature is not None and account.signature_memory > 0
        answered = pushes.run(
            APPEND, state.name,
            name, push_head(draft), b"1" if draft.secret else b"0", "-" if draft.push_id is None else draft.push_id,
            state.highest, state.last_known,
            account.buffer_pushes, account.buffer_bytes, account.keep_bytes,
            self._following.channel(state, name),
            draft.signature.hex() if draft.signature is not None and remembers else b"", draft.identifier.spelled,
            account.signature_memory,
            draft.key or b"", draft.fingerprint if draft.key is not None else b"", draft.listeners,
            draft.nonce or b"", self._replica_wait.replicas and 1,
        )  # fmt: skip
        answered.addCallback(self._appended)
        if self._replica_wait.replicas:
            answered.addCallback(self._confirm, pushes, state)
        return answered.addCallbacks(_answered, self._not_taken, (state, name))

    @staticmethod
    def _appended(answer: list[bytes]) -> Receipt:
        kind = answer[0]
        if kind == b"ok":
            return Receipt(int(answer[1]))
        if kind == b"again":
            return Receipt(int(answer[1]), True, int(answer[2]))
        if kind == b"mismatch":
            raise refusals.idempotency_mismatch()
        if kind == b"nonce":
            raise refusals.nonce_reused()
        if kind == b"behind":
            raise refusals.replicas_away()
        raise refusals.signature_reused(answer[1].decode())

    def _confirm(self, receipt: Receipt, pushes: Any, state: AccountState) -> Deferred[Receipt]:
        confirmed = self._replica_wait.confirm(pushes, state.name, receipt.position)
        return confirmed.addCallback(lambda _none: receipt)

    def _not_taken(self, failure: Failure) -> Failure:
        if failure.check(Refused):
            return failure
        failure.trap(RedisError)
        if failure.check(ResponseError):
            self._session.broken(failure)  # such as that it is a replica now, or out of memory
        return Failure(_unavailable())

    # Following.

    def follow(self, account: Account, reach: Callable[[int], Mapping[str, int]]) -> Deferred[Mapping[str, RingBuffer]]:
        if not self.available:
            return defer.fail(_not_followed())
        return self._following.follow(self._state(account), reach).addCallback(self._followed, account.api_key)

    def _followed(self, rings: Mapping[str, RingBuffer], api_key: str) -> Mapping[str, RingBuffer]:
        for name in rings:
            self._leaving.pop((api_key, name), None)
        return rings

    def unfollow(self, channel: Channel) -> None:
        self._leaving[channel] = self._reactor.seconds() + LINGER

    def follows(self, channel: Channel) -> bool:
        state = self._states.get(channel[0])
        return state is not None and channel[1] in state.rings

    def watermark(self, api_key: str) -> int:
        state = self._states.get(api_key)
        return 0 if state is None else state.watermark

    def peek(self, channel: Channel) -> RingBuffer | None:
        state = self._states.get(channel[0])
        return None if state is None else state.rings.get(channel[1])

    def stats(self) -> EngineStats:
        states = self._states.values()
        rings = [ring for state in states for ring in state.rings.values()]
        return EngineStats(sum(map(len, rings)), sum(state.account_rings.kept_bytes for state in states), len(rings))

    def expire(self) -> None:
        now = self._reactor.seconds()
        for channel in [channel for channel, until in self._leaving.items() if until <= now]:
            if self._following.leave(self._states[channel[0]], channel[1]):
                del self._leaving[channel]


def _answered(receipt: Receipt, state: AccountState, name: str) -> Receipt:
    state.knows_of(name, receipt.position)
    return receipt


def _unavailable() -> Refused:
    return Refused(
        errors.ENGINE_UNAVAILABLE,
        "Redis does not answer. It may have been pushed all the same: push it again with the same Idempotency-Key, which "
        "pushes it once.",
    )


def _not_followed() -> Refused:
    return Refused(errors.ENGINE_UNAVAILABLE, "Redis, where pushes are kept, does not answer: come back in a moment.")
