"""Pushing: `append.lua` is run, the replicas are waited for, and errors become refusals.

Pushes of an account that are in flight together go to Redis in one script, because most of what a script costs does not depend
on the number of its pushes. A push goes at once if no script of its account is under way. Otherwise it waits in the account's
queue until

- a script of the account is answered,
- the queue has as many pushes or bytes as one script takes, or
- `LONGEST_WAIT` is over, which matters only if Redis is far away.

At most `MOST_SCRIPTS` of an account are under way. What comes then waits on the node, in the order in which it came. Redis runs
one script after the other, so that an account that floods would otherwise let all others wait behind its own pushes.

All pushes of the process that have no answer yet share `MOST_UNANSWERED` bytes. Their publishers need not be there any longer:
each of them may have closed its connection, so that no bound of connections bounds them.

A script gives its pushes positions in the order in which it gets them. Pushes of one identifier stand next to each other in it,
so that one message announces all of them. Two pushes that are in flight together have no order until then, but those of a
batch have one, and keep it.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TypeVar

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.fair_room import FairRoom
from cometify.core.floors import MOST_FLOORS
from cometify.core.push import Draft, Receipt
from cometify.engine.redis import unavailable
from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.connection import MOST_FAILED, MOST_IN_FLIGHT, NotSentError, RedisConnection
from cometify.engine.redis.push_queue import MOST_SCRIPTS, MOST_UNANSWERED, WaitingPush, as_arguments
from cometify.engine.redis.push_waits import PushWaits
from cometify.engine.redis.replica_wait import ReplicaWait
from cometify.engine.redis.scripts import APPEND, PushAnswer, read_receipt
from cometify.engine.redis.session import RedisSession
from cometify.engine.refusals import too_many_pushes
from cometify.runtime.reactor import Clock
from cometify.runtime.slices import SlicedWork

T = TypeVar("T")

LONGEST_WAIT = 0.005
"""Seconds that a push waits for the answer to an earlier script of its account."""


class RedisPushes:
    """`channels`: the beginning of the names of all channels. `state_of`: returns the state of an account.
    `is_of_account(failure, api_key, command)`: handles an error reply, and returns True if it concerns this account alone.
    """

    def __init__(
        self,
        session: RedisSession,
        channels: str,
        replica_wait: ReplicaWait,
        state_of: Callable[[Account], AccountState],
        is_of_account: Callable[[Failure, str, str], bool],
        reactor: Clock,
    ) -> None:
        self._waits = PushWaits(reactor.seconds)
        self._session = session
        self._channels = channels
        self._replica_wait = replica_wait
        self._state_of = state_of
        self._is_of_account = is_of_account
        self._call_later = reactor.callLater
        self._count = 0  # pushes without an answer
        self._room = FairRoom(MOST_UNANSWERED)  # for them
        self._failing: SlicedWork[WaitingPush] = SlicedWork(reactor.callLater, lambda _waiting: "a push", MOST_FAILED)

    def append(self, account: Account, draft: Draft) -> Deferred[Receipt]:
        """See `IEngine.append`."""
        pushes = self._session.pushes
        if pushes is None or not self._session.is_ready:
            return defer.fail(unavailable.nothing_pushed())
        if max(self._count, len(pushes)) >= MOST_IN_FLIGHT:
            return defer.fail(unavailable.overloaded())
        if left := self._waits.left(account, draft):
            return defer.fail(too_many_pushes(account, left))
        state = self._state_of(account)
        queue = state.pushes
        waiting = as_arguments(account, draft)
        if not self._room.take(account.api_key, waiting.size):
            return defer.fail(unavailable.overloaded())
        self._count += 1
        queue.waiting.append(waiting)
        queue.size += waiting.size
        if queue.may_send:
            self._send(state)
        elif not queue.is_timed:
            queue.is_timed = True
            self._call_later(LONGEST_WAIT, self._send_late, state)
        return waiting.receipt

    def _send_late(self, state: AccountState) -> None:
        queue = state.pushes
        queue.is_timed = False
        if queue.waiting and queue.scripts < MOST_SCRIPTS:
            self._send(state)

    def _send(self, state: AccountState) -> None:
        """Send the pushes that wait, as many as one script takes."""
        pushes, queue = self._session.pushes, state.pushes
        if pushes is None or not self._session.is_ready:
            waiting, queue.waiting, queue.size = queue.waiting, [], 0
            self._refuse(state, waiting, unavailable.nothing_pushed)
            return
        sent = queue.take()
        if len(sent) > 2:
            sent = _next_to_each_other(sent)
        account = state.account
        queue.scripts += 1
        asked_at = self._waits.now
        answered = pushes.run(
            APPEND, state.name,
            state.highest, state.last_known,
            account.buffer_pushes, account.buffer_bytes, account.keep_bytes,
            self._channels, account.signature_memory,
            1 if self._replica_wait.replicas else 0,
            account.pushes_per_second or 0, account.burst,
            account.request_memory, MOST_FLOORS,
            *(sent[0].arguments if len(sent) == 1 else chain.from_iterable([waiting.arguments for waiting in sent])),
        )  # fmt: skip
        answered.addCallback(self._answered, state, account, sent, pushes, asked_at)
        answered.addErrback(self._not_answered, state, sent)

    def _go_on(self, state: AccountState) -> None:
        """A script was answered, or has failed: send those that wait."""
        queue = state.pushes
        queue.scripts -= 1
        if queue.waiting:
            self._send(state)

    def _answered(
        self,
        answer: list[PushAnswer],
        state: AccountState,
        account: Account,
        sent: Sequence[WaitingPush],
        pushes: RedisConnection,
        asked_at: float,
    ) -> None:
        """Callback of a script. `account`: as Redis was told it, because it can have been changed meanwhile."""
        has_replicas = self._replica_wait.replicas > 0
        answers: list[tuple[WaitingPush, Receipt | Exception]] = []
        for waiting, one in zip(sent, answer, strict=True):
            read = Receipt(one) if isinstance(one, int) else _read(one, account)
            if not isinstance(one, int) and one[0] == b"wait":
                self._waits.told(account, waiting.draft, int(one[1]), asked_at)
            if not has_replicas and isinstance(read, Receipt):
                _note(read, state, waiting.draft)
            answers.append((waiting, read))
        # The next script is sent before the publishers are answered, because Redis can run it meanwhile.
        self._go_on(state)
        self._count -= len(sent)
        if not has_replicas:
            size = sent[0].size if len(sent) == 1 else _size(sent)
            self._room.leave(account.api_key, size)
        for waiting, read in answers:
            if isinstance(read, Exception):
                if has_replicas:
                    self._room.leave(state.account.api_key, waiting.size)
                waiting.receipt.errback(read if isinstance(read, Refused) else self._refusal(Failure(read), account)())
            elif has_replicas:
                confirmed = self._replica_wait.confirm(pushes, state.name, read.position)
                noted = confirmed.addCallback(_confirmed, read, state, waiting.draft)
                noted.addErrback(self._not_confirmed, account).addBoth(self._left, state, waiting)
                noted.chainDeferred(waiting.receipt)
            else:
                waiting.receipt.callback(read)

    def _not_confirmed(self, failure: Failure, account: Account) -> Failure:
        return Failure(self._refusal(failure, account)())

    def _not_answered(self, failure: Failure, state: AccountState, sent: Sequence[WaitingPush]) -> None:
        """Errback of a script: refuse all of its pushes."""
        refusal, queue = self._refusal(failure, state.account), state.pushes
        if failure.check(NotSentError) and queue.waiting:
            # The session does not know yet that its connection is closed. Each further script would fail within this call.
            waiting, queue.waiting, queue.size = queue.waiting, [], 0
            self._refuse(state, waiting, unavailable.nothing_pushed)
        self._go_on(state)
        self._refuse(state, sent, refusal)

    def _refusal(self, failure: Failure, account: Account) -> Callable[[], Refused]:
        """Return the refusal that an error becomes."""
        if failure.check(NotSentError):
            return unavailable.nothing_pushed
        if self._is_of_account(failure, account.api_key, APPEND.name):
            return unavailable.push_failed
        return unavailable.perhaps_pushed

    def _left(self, result: T, state: AccountState, waiting: WaitingPush) -> T:
        self._room.leave(state.account.api_key, waiting.size)
        return result

    def _refuse(self, state: AccountState, waiting: Sequence[WaitingPush], refusal: Callable[[], Refused]) -> None:
        """Refuse pushes, a bounded number in each turn of the event loop."""
        self._count -= len(waiting)
        self._room.leave(state.account.api_key, _size(waiting))
        self._failing.add("Refusing pushes", waiting, lambda: lambda one: one.receipt.errback(refusal()), at_once=True)


def _size(pushes: Sequence[WaitingPush]) -> int:
    return sum([waiting.size for waiting in pushes])


def _next_to_each_other(sent: Sequence[WaitingPush]) -> list[WaitingPush]:
    """Put pushes of one identifier next to each other. Those of batches come last, and keep their order."""
    single: dict[str, list[WaitingPush]] = {}
    batched: list[WaitingPush] = []
    for waiting in sent:
        draft = waiting.draft
        of_name = single.setdefault(draft.identifier.folded, []) if draft.cost == 1 else batched
        of_name.append(waiting)
    return [*chain.from_iterable(single.values()), *batched]


def _read(answer: PushAnswer, account: Account) -> Receipt | Exception:
    try:
        return read_receipt(answer, account)
    except Exception as error:  # noqa: BLE001 - the other pushes of the script have answers of their own
        return error


def _note(receipt: Receipt, state: AccountState, draft: Draft) -> None:
    """Note that the node knows of a push."""
    if receipt.position > state.last_known:
        state.knows_of(draft.identifier.folded, draft.secret, receipt.position)


def _confirmed(_none: None, receipt: Receipt, state: AccountState, draft: Draft) -> Receipt:
    _note(receipt, state, draft)
    return receipt
