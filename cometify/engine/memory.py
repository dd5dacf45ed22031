"""The engine that a server has by itself: pushes are kept in the process, and are gone with it. Read this one first."""

from collections.abc import Callable, Mapping, Sequence

import attrs

from cometify.core.account import KEPT, REMEMBERED, SECOND, Account
from cometify.core.frames import push_frame
from cometify.core.identifier import Identifier
from cometify.core.push import Draft, Push, Receipt
from cometify.core.retention import Shelf
from cometify.core.ring import NOTHING, Channel, Dropped, RingBuffer
from cometify.core.ttl_map import Recent
from cometify.engine import refusals
from cometify.interfaces import IAnnounce, Stock

LINGER = 60 * SECOND
"""How long a channel stays followed after its last listener has left, in microseconds."""


@attrs.define(eq=False)
class _Book:
    """One account: the last position given or told, and what is kept and remembered of it."""

    last: int
    shelf: Shelf = attrs.Factory(Shelf)
    # Of channels that have no ring, longest gone first.
    floors: dict[str, tuple[int, int, Dropped]] = attrs.Factory(dict)
    signatures: Recent[bytes, Identifier] = attrs.Factory(Recent)
    answers: Recent[str, tuple[str, Receipt]] = attrs.Factory(Recent)
    nonces: Recent[str, bool] = attrs.Factory(Recent)


class MemoryEngine:
    """See `IEngine`. `clock`: microseconds of Unix time that never jump; `announce`: told of every push, once."""

    available = True
    places = None

    def __init__(self, clock: Callable[[], int], announce: IAnnounce) -> None:
        self._clock = clock
        self._announce = announce
        self._began = clock()
        self._books: dict[str, _Book] = {}
        self._followed: set[Channel] = set()
        self._leaving: dict[Channel, int] = {}

    def start(self) -> None:
        """There is nothing to reach."""

    def stop(self) -> None:
        """There is nothing to let go of."""

    def _book(self, api_key: str) -> _Book:
        book = self._books.get(api_key)
        if book is None:
            book = self._books[api_key] = _Book(self._began)
        return book

    def mark(self, api_key: str) -> int:
        book = self._books.get(api_key) or self._book(api_key)
        book.last = max(self._clock(), book.last)
        return book.last

    def append(self, account: Account, draft: Draft) -> Receipt:
        book = self._books.get(account.api_key) or self._book(account.api_key)
        now = max(self._clock(), book.last)
        if draft.key is not None:
            answered = book.answers.get(draft.key, now)
            if answered is not None:
                return _again(draft, *answered)
        if draft.nonce is not None and book.nonces.first(draft.nonce, True, now):
            raise refusals.nonce_reused()
        if draft.signature is not None and account.signature_memory:
            used_for = book.signatures.first(draft.signature, draft.identifier, now, account.signature_memory)
            if used_for is not None and used_for != draft.identifier:
                raise refusals.signature_reused(used_for.spelled)
        book.last = position = max(now, book.last + 1)
        if draft.key is not None:
            book.answers.first(draft.key, (draft.fingerprint, Receipt(position, True, draft.listeners)), now)
        folded = draft.identifier.folded
        push = Push(folded, draft.push_id, draft.secret, position, push_frame(draft, position))
        shelf = book.shelf
        ring = shelf.rings.get(folded)
        if ring is None:
            ring = self._ring(book, (account.api_key, folded))
        shelf.put(ring, push, account)
        emptied = shelf.drop(position - KEPT, account.keep_bytes)
        if emptied:
            self._forget_emptied(book, emptied)
        self._announce(ring, push)
        return Receipt(position)

    def _ring(self, book: _Book, channel: Channel) -> RingBuffer:
        ring = book.shelf.rings.get(channel[1])
        if ring is None:
            floor, secret_floor, dropped = book.floors.pop(channel[1], (self._began, self._began, NOTHING))
            ring = RingBuffer(channel, floor, secret_floor, began=self._began, dropped=dropped)
            book.shelf.rings[channel[1]] = ring
        return ring

    def _drop(self, book: _Book, oldest: int, most_bytes: int) -> None:
        """Drop what is as old as `oldest`, and the oldest while there is too much of the account."""
        self._forget_emptied(book, book.shelf.drop(oldest, most_bytes))

    def _forget_emptied(self, book: _Book, rings: Sequence[RingBuffer]) -> None:
        for ring in rings:
            if ring.channel not in self._followed:
                self._forget_ring(book, ring)

    def _forget_ring(self, book: _Book, ring: RingBuffer) -> None:
        """Of an empty ring that nobody follows only the floors are remembered, if they tell anything."""
        book.shelf.remove(ring)
        if max(ring.floor, ring.secret_floor) > self._began:
            book.floors[ring.channel[1]] = (ring.floor, ring.secret_floor, ring.dropped)

    def follow(self, account: Account, reach: Callable[[int], Mapping[str, int]]) -> Mapping[str, RingBuffer]:
        book = self._book(account.api_key)
        now = self.mark(account.api_key)
        self._drop(book, now - KEPT, account.keep_bytes)
        rings = {}
        for identifier in reach(now):
            ring = rings[identifier] = self._ring(book, (account.api_key, identifier))
            self._followed.add(ring.channel)
            self._leaving.pop(ring.channel, None)
        return rings

    def unfollow(self, channel: Channel) -> None:
        self._leaving[channel] = self._clock() + LINGER

    def follows(self, channel: Channel) -> bool:
        return channel in self._followed

    def look(self, channel: Channel) -> RingBuffer | None:
        book = self._books.get(channel[0])
        return None if book is None else book.shelf.rings.get(channel[1])

    def stock(self) -> Stock:
        books = self._books.values()
        return Stock(
            pushes=sum(len(ring) for book in books for ring in book.shelf.rings.values()),
            bytes=sum(book.shelf.kept_bytes for book in books),
            followed=len(self._followed),
        )

    def expire(self) -> None:
        now = self._clock()
        for channel in [channel for channel, until in self._leaving.items() if until <= now]:
            del self._leaving[channel]
            self._followed.discard(channel)
            book = self._book(channel[0])
            ring = book.shelf.rings.get(channel[1])
            if ring is not None and not ring:
                self._forget_ring(book, ring)
        for book in self._books.values():
            time = max(now, book.last)
            self._drop(book, time - KEPT, book.shelf.kept_bytes)
            for identifier in list(book.floors):
                if max(book.floors[identifier][:2]) > time - REMEMBERED:
                    break
                del book.floors[identifier]


def _again(draft: Draft, fingerprint: str, receipt: Receipt) -> Receipt:
    """The answer that was given to the same key. Raises `Refused` (idempotency_mismatch)."""
    if fingerprint != draft.fingerprint:
        raise refusals.idempotency_mismatch()
    return receipt
