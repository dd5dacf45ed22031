"""The engine that a server has by itself: pushes are kept in the process, and are gone with it. Read this one first."""

from collections.abc import Callable, Mapping, Sequence

import attrs

from cometify.core.account import Account
from cometify.core.frames import push_frame
from cometify.core.identifier import Identifier
from cometify.core.position import FLOOR_RETENTION, RETENTION, SECOND
from cometify.core.push import Draft, Push, Receipt
from cometify.core.retention import AccountRings
from cometify.core.ring import NOTHING, Channel, Dropped, RingBuffer
from cometify.core.ttl_map import TTLMap
from cometify.engine import refusals
from cometify.interfaces import EngineStats, IAnnounce

LINGER = 60 * SECOND
"""How long a channel stays followed after its last listener has left, in microseconds."""


@attrs.define(eq=False)
class _AccountState:
    """One account: the last position given or told, and what is kept and remembered of it."""

    last: int
    account_rings: AccountRings = attrs.Factory(AccountRings)
    # Of channels that have no ring, longest gone first.
    floors: dict[str, tuple[int, int, Dropped]] = attrs.Factory(dict)
    signatures: TTLMap[bytes, Identifier] = attrs.Factory(TTLMap)
    answers: TTLMap[str, tuple[str, Receipt]] = attrs.Factory(TTLMap)
    nonces: TTLMap[str, bool] = attrs.Factory(TTLMap)


class MemoryEngine:
    """See `IEngine`. `clock`: microseconds of Unix time that never jump; `announce`: told of every push, once."""

    available = True
    slots = None

    def __init__(self, clock: Callable[[], int], announce: IAnnounce) -> None:
        self._clock = clock
        self._announce = announce
        self._began = clock()
        self._states: dict[str, _AccountState] = {}
        self._followed: set[Channel] = set()
        self._leaving: dict[Channel, int] = {}

    def start(self) -> None:
        """There is nothing to reach."""

    def stop(self) -> None:
        """There is nothing to let go of."""

    def _state(self, api_key: str) -> _AccountState:
        state = self._states.get(api_key)
        if state is None:
            state = self._states[api_key] = _AccountState(self._began)
        return state

    def watermark(self, api_key: str) -> int:
        state = self._states.get(api_key) or self._state(api_key)
        state.last = max(self._clock(), state.last)
        return state.last

    def append(self, account: Account, draft: Draft) -> Receipt:
        state = self._states.get(account.api_key) or self._state(account.api_key)
        now = max(self._clock(), state.last)
        if draft.key is not None:
            answered = state.answers.get(draft.key, now)
            if answered is not None:
                return _again(draft, *answered)
        if draft.nonce is not None and state.nonces.first(draft.nonce, True, now):
            raise refusals.nonce_reused()
        if draft.signature is not None and account.signature_memory:
            used_for = state.signatures.first(draft.signature, draft.identifier, now, account.signature_memory)
            if used_for is not None and used_for != draft.identifier:
                raise refusals.signature_reused(used_for.spelled)
        state.last = position = max(now, state.last + 1)
        if draft.key is not None:
            state.answers.first(draft.key, (draft.fingerprint, Receipt(position, True, draft.listeners)), now)
        folded = draft.identifier.folded
        push = Push(folded, draft.push_id, draft.secret, position, push_frame(draft, position))
        account_rings = state.account_rings
        ring = account_rings.rings.get(folded)
        if ring is None:
            ring = self._ring(state, (account.api_key, folded))
        account_rings.put(ring, push, account)
        emptied = account_rings.drop(position - RETENTION, account.keep_bytes)
        if emptied:
            self._forget_emptied(state, emptied)
        self._announce(ring, push)
        return Receipt(position)

    def _ring(self, state: _AccountState, channel: Channel) -> RingBuffer:
        ring = state.account_rings.rings.get(channel[1])
        if ring is None:
            floor, secret_floor, dropped = state.floors.pop(channel[1], (self._began, self._began, NOTHING))
            ring = RingBuffer(channel, floor, secret_floor, began=self._began, dropped=dropped)
            state.account_rings.rings[channel[1]] = ring
        return ring

    def _drop(self, state: _AccountState, oldest: int, most_bytes: int) -> None:
        """Drop what is as old as `oldest`, and the oldest while there is too much of the account."""
        self._forget_emptied(state, state.account_rings.drop(oldest, most_bytes))

    def _forget_emptied(self, state: _AccountState, rings: Sequence[RingBuffer]) -> None:
        for ring in rings:
            if ring.channel not in self._followed:
                self._forget_ring(state, ring)

    def _forget_ring(self, state: _AccountState, ring: RingBuffer) -> None:
        """Of an empty ring that nobody follows only the floors are remembered, if they tell anything."""
        state.account_rings.remove(ring)
        if max(ring.floor, ring.secret_floor) > self._began:
            state.floors[ring.channel[1]] = (ring.floor, ring.secret_floor, ring.dropped)

    def follow(self, account: Account, reach: Callable[[int], Mapping[str, int]]) -> Mapping[str, RingBuffer]:
        state = self._state(account.api_key)
        now = self.watermark(account.api_key)
        self._drop(state, now - RETENTION, account.keep_bytes)
        rings = {}
        for identifier in reach(now):
            ring = rings[identifier] = self._ring(state, (account.api_key, identifier))
            self._followed.add(ring.channel)
            self._leaving.pop(ring.channel, None)
        return rings

    def unfollow(self, channel: Channel) -> None:
        self._leaving[channel] = self._clock() + LINGER

    def follows(self, channel: Channel) -> bool:
        return channel in self._followed

    def peek(self, channel: Channel) -> RingBuffer | None:
        state = self._states.get(channel[0])
        return None if state is None else state.account_rings.rings.get(channel[1])

    def stats(self) -> EngineStats:
        states = self._states.values()
        return EngineStats(
            pushes=sum(len(ring) for state in states for ring in state.account_rings.rings.values()),
            bytes=sum(state.account_rings.kept_bytes for state in states),
            followed=len(self._followed),
        )

    def expire(self) -> bool:
        now = self._clock()
        for channel in [channel for channel, until in self._leaving.items() if until <= now]:
            del self._leaving[channel]
            self._followed.discard(channel)
            state = self._state(channel[0])
            ring = state.account_rings.rings.get(channel[1])
            if ring is not None and not ring:
                self._forget_ring(state, ring)
        for state in self._states.values():
            time = max(now, state.last)
            self._drop(state, time - RETENTION, state.account_rings.kept_bytes)
            for identifier in list(state.floors):
                if max(state.floors[identifier][:2]) > time - FLOOR_RETENTION:
                    break
                del state.floors[identifier]
        return False


def _again(draft: Draft, fingerprint: str, receipt: Receipt) -> Receipt:
    """The answer that was given to the same key. Raises `Refused` (idempotency_mismatch)."""
    if fingerprint != draft.fingerprint:
        raise refusals.idempotency_mismatch()
    return receipt
