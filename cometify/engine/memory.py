"""The engine of a server without Redis: pushes are kept in this process and end with it. Read this one first.

Expiry. After ten minutes pushes are dropped, and signatures, nonces and answers are forgotten. Floors are forgotten after a
day. One minute after its last listener has left, a channel is no longer followed. Any number of these can become due in
the same moment, so `expire` does a bounded number of steps and returns whether it must be called again. A push also drops
a few old pushes of its kind (public or secret), and a join drops a few public ones. So both see no old pushes, unless a
burst has just grown old. A join drops no secret pushes, because the time that this takes would tell of them.

Until a push that is due is dropped, it is kept like any other. No joining listener gets it, because each replay begins at
a position (`JoinPlan`). No gap is told for it, because the floor is raised only when the push is dropped.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from math import inf

from twisted.internet.defer import Deferred, fail, succeed

from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.frames import push_frame
from cometify.core.identifier_page import Kept
from cometify.core.kept_pushes import DROPS, most_drops
from cometify.core.position import RETENTION, SECOND
from cometify.core.push import Draft, Push, Receipt
from cometify.core.revocation import Disconnect
from cometify.core.ring import Channel, RingBuffer
from cometify.engine import UNFOLLOW_DELAY, refusals
from cometify.engine.memory_account import AccountState
from cometify.engine.memory_queries import MemoryQueries
from cometify.engine.memory_usage import MemoryUsage
from cometify.engine.memory_webhooks import MemoryWebhooks
from cometify.engine.only_node import OnlyNode
from cometify.engine.total_bytes import TotalBytes
from cometify.interfaces import EngineStats, IAnnounce, IDisconnect

EXPIRE_STEPS = 500
"""The steps of one call of `expire`, which take about 0.3 ms. A step drops a push, or forgets one thing."""


class MemoryEngine:
    """See `IEngine`. `clock`: Unix time in microseconds that never jumps. `announce`: called with every push, once.

    `keep_bytes_total`: the most bytes that all accounts keep together, half of them of each kind. None for no bound.
    """

    available = True
    slots = None

    def __init__(self, clock: Callable[[], int], announce: IAnnounce, keep_bytes_total: int | None = None) -> None:
        self._clock = clock
        self._announce = announce
        self._began = clock()
        self._states: dict[str, AccountState] = {}
        # Of public and of secret pushes.
        self._totals: tuple[TotalBytes, TotalBytes] | None = None
        if keep_bytes_total is not None:
            most, states = keep_bytes_total // 2, self._states.values
            self._totals = (
                TotalBytes(most, lambda: [state.rings.public for state in states()]),
                TotalBytes(most, lambda: [state.rings.secret for state in states()]),
            )
        # No position up to here may be given again, by whichever account.
        self._last_forgotten = self._began
        self._disconnect: IDisconnect  # see `watch_disconnects`
        self.queries = MemoryQueries(self._state, self.watermark)
        self.usage = MemoryUsage(clock)
        self.nodes = OnlyNode()
        self.webhooks = MemoryWebhooks(clock)
        # Channels that nobody listens on, and when they will no longer be followed; the longest without listeners first.
        self._leaving: OrderedDict[Channel, int] = OrderedDict()
        # The API keys of the accounts that `expire` has still to visit in its round.
        self._to_visit: deque[str] = deque()

    def why_not_ready(self) -> None:
        """It is ready as long as the process lives."""

    def redis_health(self) -> tuple[()]:
        return ()

    def start(self) -> None:
        """There is nothing to connect to."""

    def level_with(self, count: Callable[[], int], send_away: Callable[[int], object]) -> None:
        """There are no other nodes."""

    def leave(self) -> Deferred[bool]:
        return succeed(False)  # nobody else has the pushes

    def stop(self) -> None:
        """There is nothing to disconnect from."""

    def _state(self, api_key: str) -> AccountState:
        state = self._states.get(api_key)
        if state is None:
            state = self._states[api_key] = AccountState(api_key, self._began, self._last_forgotten)
        return state

    def watermark(self, api_key: str) -> int:
        state = self._states.get(api_key) or self._state(api_key)
        state.last = max(self._clock(), state.last)
        return state.last

    def position(self, account: Account) -> int:
        return self.watermark(account.api_key)

    def append(self, account: Account, draft: Draft) -> Receipt:
        state = self._states.get(account.api_key) or self._state(account.api_key)
        now = max(self._clock(), state.last)
        if draft.key is not None and (answered := state.requests.answer(account, draft, now)) is not None:
            return answered
        limited = account.pushes_per_second is not None and draft.cost > 0
        if limited:
            self._check_rate(state, account, draft)
        if draft.nonce is not None:
            state.requests.use_nonce(account, draft.nonce, now)
        if (
            draft.signature is not None
            and (most := account.signature_memory)
            and (used_for := state.signatures.first(draft.signature, draft.identifier, now, most)) is not None
            and used_for != draft.identifier
        ):
            raise refusals.signature_reused(used_for.spelled)
        if limited:
            state.bucket.put(draft.cost)
        state.last = position = max(now, state.last + 1)
        if draft.key is not None:
            state.requests.note(draft, position, now)
        folded = draft.identifier.folded
        push = Push(folded, draft.push_id, draft.secret, position, push_frame(draft, position), None, draft.excluded)
        ring = state.rings.rings.get(folded)
        if ring is None:
            ring = state.ring(folded)
        retention = state.rings.put(ring, push, account)
        oldest = position - RETENTION
        if retention.is_due(oldest, account.keep_bytes):
            retention.drop(oldest, account.keep_bytes, most_drops(push))
            retention.excess_of = account.keep_bytes
        if self._totals is not None:
            self._totals[draft.secret].bound(retention, most_drops(push))
        self._announce(ring, push)
        return Receipt(position)

    def _check_rate(self, state: AccountState, account: Account, draft: Draft) -> None:
        """Check that the account may push now. Raises `Refused` (too_many_pushes).

        The draft is charged only when nothing else refuses it, because a captured request could use up the rate otherwise.
        """
        assert account.pushes_per_second is not None
        wait = state.bucket.wait(draft.cost, account.pushes_per_second, account.burst, self._clock())
        if wait:
            raise refusals.too_many_pushes(account, wait)

    def watch_disconnects(self, disconnect: IDisconnect) -> None:
        self._disconnect = disconnect

    def disconnect(self, account: Account, disconnect: Disconnect, at: int, nonce: str | None) -> Deferred[int]:
        state = self._state(account.api_key)
        if nonce is not None:
            try:
                state.requests.use_nonce(account, nonce, max(self._clock(), state.last))
            except Refused:
                return fail()
        if disconnect.subject is not None:
            state.revocations.note(disconnect.subject, at)
        return self._disconnect(account.api_key, disconnect, inf)

    def revoked_at(self, api_key: str, subject: str) -> float:
        return self._states[api_key].revocations.at(subject) if api_key in self._states else -inf

    def follow(
        self, account: Account, reach: Callable[[int], Mapping[str, int]], _secret: Collection[str] = ()
    ) -> Mapping[str, RingBuffer]:
        now = self.watermark(account.api_key)
        state = self._state(account.api_key)
        state.rings.public.drop(now - RETENTION, account.keep_bytes, DROPS)
        rings = {}
        for identifier in reach(now):
            ring = rings[identifier] = state.ring(identifier)
            for secret in (False, True):
                ring.own(secret)  # listeners hold them
            state.followed.add(identifier)
            self._leaving.pop(ring.channel, None)
        return rings

    def unfollow(self, channel: Channel) -> None:
        self._leaving[channel] = self._clock() + UNFOLLOW_DELAY * SECOND
        self._leaving.move_to_end(channel)

    def peek(self, channel: Channel) -> RingBuffer | None:
        state = self._states.get(channel[0])
        return None if state is None else state.rings.rings.get(channel[1])

    def stats(self) -> EngineStats:
        return EngineStats(
            {key: Kept(state.rings.count(), state.rings.kept_bytes) for key, state in self._states.items()},
            copies=None,
            followed=sum(len(state.followed) for state in self._states.values()),
        )

    def expire(self) -> bool:
        now = self._clock()
        left = EXPIRE_STEPS - self._leave(now)
        if not self._to_visit:
            self._to_visit.extend(self._states)
        while left > 0 and self._to_visit:
            left -= 1 + self._expire_account(self._to_visit[0], now, left)
            if left > 0:
                self._to_visit.popleft()
        return left <= 0

    def _leave(self, now: int) -> int:
        """Stop following channels that have had no listener for long enough. Returns how many."""
        count = 0
        while count < EXPIRE_STEPS and self._leaving:
            channel, until = next(iter(self._leaving.items()))
            if until > now:
                break
            del self._leaving[channel]
            state = self._states.get(channel[0])
            if state is not None:
                state.unfollow(channel[1])
            count += 1
        return count

    def _expire_account(self, api_key: str, now: int, most: int) -> int:
        state = self._states.get(api_key)
        if state is None:
            return 0
        steps = state.expire(max(now, state.last), most)
        if self._totals is not None:
            self._totals[False].count(state.rings.public)
            self._totals[True].count(state.rings.secret)
        if state.is_empty(now):
            self._last_forgotten = max(self._last_forgotten, state.last)
            del self._states[api_key]
        return steps
