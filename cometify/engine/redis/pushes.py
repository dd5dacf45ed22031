"""Pushing: `append.lua` is run, the replicas are waited for, and errors become refusals."""

from collections.abc import Callable
from typing import Protocol

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.floors import MOST_FLOORS
from cometify.core.frames import kept_head
from cometify.core.push import Draft, Receipt
from cometify.engine.redis import unavailable
from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.connection import MOST_IN_FLIGHT, NotSentError, RedisConnection
from cometify.engine.redis.replica_wait import ReplicaWait
from cometify.engine.redis.scripts import APPEND, read_receipt
from cometify.engine.redis.session import RedisSession


class ChannelOf(Protocol):
    """Returns the name of the channel on which the pushes of an identifier are published."""

    def __call__(self, state: AccountState, name: str, /) -> bytes: ...


class RedisPushes:
    """`state_of`: returns the state of an account. `is_of_account(failure, api_key, command)`: handles an error reply, and
    returns True if it concerns this account alone.
    """

    def __init__(
        self,
        session: RedisSession,
        channel_of: ChannelOf,
        replica_wait: ReplicaWait,
        state_of: Callable[[Account], AccountState],
        is_of_account: Callable[[Failure, str, str], bool],
    ) -> None:
        self._session = session
        self._channel_of = channel_of
        self._replica_wait = replica_wait
        self._state_of = state_of
        self._is_of_account = is_of_account

    def append(self, account: Account, draft: Draft) -> Deferred[Receipt]:
        """See `IEngine.append`."""
        pushes = self._session.pushes
        if pushes is None or not self._session.is_ready:
            return defer.fail(unavailable.nothing_pushed())
        if len(pushes) >= MOST_IN_FLIGHT:
            return defer.fail(unavailable.overloaded())
        state = self._state_of(account)
        name = draft.identifier.folded
        remembers = draft.signature is not None and account.signature_memory > 0
        answered = pushes.run(
            APPEND, state.name,
            name, kept_head(draft), b"1" if draft.secret else b"0", "-" if draft.push_id is None else draft.push_id,
            state.highest, state.last_known,
            account.buffer_pushes, account.buffer_bytes, account.keep_bytes,
            self._channel_of(state, name),
            draft.signature.hex() if draft.signature is not None and remembers else b"", draft.identifier.spelled,
            account.signature_memory,
            draft.key or b"", draft.fingerprint.hex() if draft.key is not None else b"", draft.listeners,
            draft.nonce or b"", 1 if self._replica_wait.replicas else 0,
            account.pushes_per_second or 0, account.burst, draft.cost,
            account.request_memory, MOST_FLOORS,
        )  # fmt: skip
        appended = answered.addCallback(read_receipt, account)
        if self._replica_wait.replicas:
            appended.addCallback(self._confirm, pushes, state)
        return appended.addCallbacks(
            _appended, self._not_appended, (state, name, draft.secret), errbackArgs=(account.api_key,)
        )

    def _confirm(self, receipt: Receipt, pushes: RedisConnection, state: AccountState) -> Deferred[Receipt]:
        confirmed = self._replica_wait.confirm(pushes, state.name, receipt.position)
        return confirmed.addCallback(lambda _none: receipt)

    def _not_appended(self, failure: Failure, api_key: str) -> Failure:
        """Errback of a push: turn an error into a refusal."""
        if failure.check(Refused):
            return failure
        if failure.check(NotSentError):
            return Failure(unavailable.nothing_pushed())
        if self._is_of_account(failure, api_key, APPEND.name):
            return Failure(unavailable.push_failed())
        return Failure(unavailable.perhaps_pushed())


def _appended(receipt: Receipt, state: AccountState, name: str, secret: bool) -> Receipt:
    state.knows_of(name, secret, receipt.position)
    return receipt
