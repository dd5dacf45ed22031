"""The engine that a server has by itself: pushes are kept in the process, and are gone with it. Read this one first."""

from collections import deque
from collections.abc import Callable, Mapping

import attrs
from twisted.internet import defer

from cometify.core import errors
from cometify.core.account import KEPT, NONCE_REMEMBERED, REMEMBERED, SECOND, SIGNATURE_REMEMBERED, Account
from cometify.core.frames import push_frame
from cometify.core.identifier import Identifier
from cometify.core.push import Draft, Push
from cometify.core.ring import Channel, RingBuffer
from cometify.interfaces import IAnnounce, Stock

LINGER = 60 * SECOND
"""How long a channel stays followed after its last listener has left, in microseconds."""


@attrs.define(eq=False)
class _Book:
    """One account: the last position given or told, its rings, and everything kept in the order of positions."""

    last: int
    rings: dict[str, RingBuffer] = attrs.Factory(dict)
    kept: deque[tuple[int, RingBuffer]] = attrs.Factory(deque)
    kept_bytes: int = 0
    floors: dict[str, tuple[int, int]] = attrs.Factory(dict)  # of channels that have no ring, longest gone first
    signatures: dict[bytes, Identifier] = attrs.Factory(dict)
    signed: deque[tuple[int, bytes]] = attrs.Factory(deque)
    nonces: set[str] = attrs.Factory(set)
    given: deque[tuple[int, str]] = attrs.Factory(deque)  # the nonces, longest remembered first


class MemoryEngine:
    """See `IEngine`. `clock`: microseconds of Unix time that never jump; `announce`: told of every push, once."""

    available = True

    def __init__(self, clock: Callable[[], int], announce: IAnnounce) -> None:
        self._clock = clock
        self._announce = announce
        self._began = clock()
        self._books: dict[str, _Book] = {}
        self._followed: set[Channel] = set()
        self._leaving: dict[Channel, int] = {}

    def _book(self, api_key: str) -> _Book:
        book = self._books.get(api_key)
        if book is None:
            book = self._books[api_key] = _Book(self._began)
        return book

    def mark(self, api_key: str) -> int:
        book = self._book(api_key)
        book.last = max(self._clock(), book.last)
        return book.last

    def append(self, account: Account, draft: Draft) -> defer.Deferred[Push]:
        book = self._book(account.api_key)
        now = max(self._clock(), book.last)
        try:
            self._remember_nonce(book, draft, now)
            self._remember_signature(book, account, draft, now)
        except errors.Refused:
            return defer.fail()
        book.last = position = max(now, book.last + 1)
        folded = draft.identifier.folded
        push = Push(folded, draft.push_id, draft.secret, position, push_frame(draft, position))
        ring = self._ring(book, (account.api_key, folded))
        book.kept_bytes += ring.append(push, account.buffer_pushes, account.buffer_bytes)
        book.kept.append((position, ring))
        self._drop(book, position - KEPT, account.keep_bytes)
        self._announce(ring, push)
        return defer.succeed(push)

    def _remember_signature(self, book: _Book, account: Account, draft: Draft, now: int) -> None:
        if draft.signature is None or not account.signature_memory:
            return
        while book.signed and (
            book.signed[0][0] <= now - SIGNATURE_REMEMBERED or len(book.signed) > account.signature_memory
        ):
            del book.signatures[book.signed.popleft()[1]]
        used_for = book.signatures.get(draft.signature)
        if used_for is None:
            if len(book.signed) >= account.signature_memory:
                del book.signatures[book.signed.popleft()[1]]
            book.signatures[draft.signature] = draft.identifier
            book.signed.append((now, draft.signature))
        elif used_for != draft.identifier:
            raise errors.Refused(
                errors.SIGNATURE_REUSED,
                f"The same secure was accepted for {used_for.spelled} within ten minutes, and does not tell the two apart "
                "(identifier and text are signed without a separator). Spell one identifier in another case, which changes "
                "its signature, or sign with HMAC.",
            )

    def _remember_nonce(self, book: _Book, draft: Draft, now: int) -> None:
        if draft.nonce is None:
            return
        self._forget_nonces(book, now)
        if draft.nonce in book.nonces:
            raise errors.Refused(
                errors.NONCE_REUSED,
                "A request with this Cometify-Nonce was accepted within ten minutes, and nothing was pushed now: make a new "
                "one at random for each request.",
            )
        book.nonces.add(draft.nonce)
        book.given.append((now, draft.nonce))

    def _forget_nonces(self, book: _Book, now: int) -> None:
        while book.given and book.given[0][0] < now - NONCE_REMEMBERED:
            book.nonces.discard(book.given.popleft()[1])

    def _ring(self, book: _Book, channel: Channel) -> RingBuffer:
        ring = book.rings.get(channel[1])
        if ring is None:
            floor, secret_floor = book.floors.pop(channel[1], (self._began, self._began))
            ring = book.rings[channel[1]] = RingBuffer(channel, floor, secret_floor)
        return ring

    def _drop(self, book: _Book, oldest: int, most_bytes: int) -> None:
        """Drop what is as old as `oldest`, and the oldest while there is too much of the account."""
        kept = book.kept
        while kept and (kept[0][0] <= oldest or book.kept_bytes > most_bytes):
            position, ring = kept.popleft()
            if ring.oldest == position:  # else the ring has dropped it already, by its own bounds
                book.kept_bytes -= ring.drop_oldest()
                if not ring and ring.channel not in self._followed:
                    self._forget_ring(book, ring)

    def _forget_ring(self, book: _Book, ring: RingBuffer) -> None:
        """Of an empty ring that nobody follows only the floors are remembered, if they tell anything."""
        del book.rings[ring.channel[1]]
        if max(ring.floor, ring.secret_floor) > self._began:
            book.floors[ring.channel[1]] = (ring.floor, ring.secret_floor)

    def follow(
        self, account: Account, reach: Callable[[int], Mapping[str, int]]
    ) -> defer.Deferred[Mapping[str, RingBuffer]]:
        book = self._book(account.api_key)
        now = self.mark(account.api_key)
        self._drop(book, now - KEPT, account.keep_bytes)
        rings = {}
        for identifier in reach(now):
            ring = rings[identifier] = self._ring(book, (account.api_key, identifier))
            self._followed.add(ring.channel)
            self._leaving.pop(ring.channel, None)
        return defer.succeed(rings)

    def unfollow(self, channel: Channel) -> None:
        self._leaving[channel] = self._clock() + LINGER

    def follows(self, channel: Channel) -> bool:
        return channel in self._followed

    def stock(self) -> Stock:
        books = self._books.values()
        return Stock(
            pushes=sum(len(ring) for book in books for ring in book.rings.values()),
            bytes=sum(book.kept_bytes for book in books),
            followed=len(self._followed),
        )

    def expire(self) -> None:
        """Forget what is too old. To be called every few seconds; nothing is told wrongly if it is late."""
        now = self._clock()
        for channel in [channel for channel, until in self._leaving.items() if until <= now]:
            del self._leaving[channel]
            self._followed.discard(channel)
            book = self._book(channel[0])
            ring = book.rings.get(channel[1])
            if ring is not None and not ring:
                self._forget_ring(book, ring)
        for book in self._books.values():
            time = max(now, book.last)
            self._drop(book, time - KEPT, book.kept_bytes)
            self._forget_nonces(book, time)
            for identifier in list(book.floors):
                if max(book.floors[identifier]) > time - REMEMBERED:
                    break
                del book.floors[identifier]
