"""See `IEngine`, over Redis."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from txredisapi import RedisError, ResponseError

from cometify.config.redis_url import Location
from cometify.core import errors
from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.frames import push_head
from cometify.core.push import Draft, Receipt
from cometify.core.ring import Channel, RingBuffer
from cometify.engine import refusals
from cometify.engine.redis.account_state import Book, name_of
from cometify.engine.redis.replica_wait import Confirming
from cometify.engine.redis.scripts import APPEND, Script
from cometify.engine.redis.session import Touch
from cometify.engine.redis.slots import SAY_AGAIN, RedisPlaces
from cometify.engine.redis.subscriber import Following
from cometify.interfaces import IAnnounce, ILost, Stock

LINGER = 60
"""Seconds that a channel stays followed after its last listener has left: page loads come in bursts."""
MOST_IN_FLIGHT = 20_000
"""Commands that wait for an answer at once."""


class RedisEngine:
    """`announce`: told of every push that is followed, once, in the order of positions; `lost`: of rings that have lost.
    `wait`: how many replicas must have a push before it is published and its publisher answered.

    It is away from the beginning on, until `start` has reached Redis.
    """

    def __init__(self, reactor: Any, location: Location, wait: int, announce: IAnnounce, lost: ILost) -> None:
        self._reactor = reactor
        self._announce = announce
        self._lost = lost
        self._node = secrets.token_hex(8)
        self._prefix = f"cometify:{location.database}:"
        self._touch = Touch(reactor, location, self, apart=wait > 0)
        self._books: dict[str, Book] = {}
        self._leaving: dict[Channel, float] = {}
        self._following = Following(self._touch, self._node, self._prefix, self._books, reactor.callLater, self._found)
        self._confirming = Confirming(wait, reactor.callLater)
        self.places = RedisPlaces(self._run, self._node, f"{self._prefix}node:")
        self._said_again = 0.0
        self.available = False

    # In touch with Redis, or not: see `Touched`.

    def start(self) -> None:
        self._touch.start()

    def stop(self) -> None:
        self._touch.stop()

    def connected(self) -> None:
        """The rings must be made whole, then everything goes on."""
        self._following.begin_again()

    def _found(self) -> None:
        self._touch.found()
        self.available = True
        self._say_places_again()

    def disconnected(self) -> None:
        """Who waits is told that it may come again."""
        self.available = False
        self._following.give_up(_not_followed)

    def heard(self, channel: bytes, text: bytes) -> None:
        """Something was published that this node has subscribed to."""
        if text.startswith(b"!"):
            self.places.heard(text[1:])
        else:
            self._following.heard(channel, text)

    def beat(self) -> None:
        """Say how late it is, for each account that is listened to."""
        if not self.available:
            return
        self._following.beat(self._say_unsaid)
        if self._reactor.seconds() - self._said_again > SAY_AGAIN:
            self._say_places_again()

    def _say_unsaid(self, book: Book, position: int) -> None:
        """Pushes wait to be published that their own node, perhaps, has not lived to see."""
        pushes = self._touch.pushes
        if pushes is not None:
            # Something to wait for on this connection: what came before it on others has arrived then, too.
            pushes.execute_command(b"HSET", book.name, b"again", position).addErrback(lambda _failure: None)
            self._confirming.confirm(pushes, book.name, position).addErrback(lambda _failure: None)

    def _say_places_again(self) -> None:
        self._said_again = self._reactor.seconds()
        self.places.say_again()

    def _run(self, script: Script, api_key: str, *args: Any) -> Deferred[Any] | None:
        commands = self._touch.commands
        if commands is None or not self.available:
            return None
        return commands.run(script, name_of(api_key), *args).addErrback(self._not_taken)

    # Pushing.

    def _book(self, account: Account) -> Book:
        book = self._books.get(account.api_key)
        if book is None:
            book = self._books[account.api_key] = Book(account, self._announce, self._lost, self.places.say_again)
        book.account = account
        return book

    def append(self, account: Account, draft: Draft) -> Deferred[Receipt]:
        pushes = self._touch.pushes
        if pushes is None or not self.available:
            return defer.fail(_unavailable())
        if len(pushes) > MOST_IN_FLIGHT:
            return defer.fail(
                Refused(
                    errors.OVERLOADED, "More is pushed than Redis takes; nothing was pushed: push again in a moment."
                )
            )
        book = self._book(account)
        name = draft.identifier.folded
        remembers = draft.signature is not None and account.signature_memory > 0
        answered = pushes.run(
            APPEND, book.name,
            name, push_head(draft), b"1" if draft.secret else b"0", "-" if draft.push_id is None else draft.push_id,
            book.seen, book.pushed,
            account.buffer_pushes, account.buffer_bytes, account.keep_bytes,
            self._following.channel(book, name),
            draft.signature.hex() if draft.signature is not None and remembers else b"", draft.identifier.spelled,
            account.signature_memory,
            draft.key or b"", draft.fingerprint if draft.key is not None else b"", draft.listeners,
            draft.nonce or b"", self._confirming.replicas and 1,
        )  # fmt: skip
        answered.addCallback(self._appended)
        if self._confirming.replicas:
            answered.addCallback(self._confirm, pushes, book)
        return answered.addCallbacks(_answered, self._not_taken, (book, name))

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

    def _confirm(self, receipt: Receipt, pushes: Any, book: Book) -> Deferred[Receipt]:
        confirmed = self._confirming.confirm(pushes, book.name, receipt.position)
        return confirmed.addCallback(lambda _none: receipt)

    def _not_taken(self, failure: Failure) -> Failure:
        if failure.check(Refused):
            return failure
        failure.trap(RedisError)
        if failure.check(ResponseError):
            self._touch.broken(failure)  # such as that it is a replica now, or out of memory
        return Failure(_unavailable())

    # Following.

    def follow(self, account: Account, reach: Callable[[int], Mapping[str, int]]) -> Deferred[Mapping[str, RingBuffer]]:
        if not self.available:
            return defer.fail(_not_followed())
        return self._following.follow(self._book(account), reach).addCallback(self._followed, account.api_key)

    def _followed(self, rings: Mapping[str, RingBuffer], api_key: str) -> Mapping[str, RingBuffer]:
        for name in rings:
            self._leaving.pop((api_key, name), None)
        return rings

    def unfollow(self, channel: Channel) -> None:
        self._leaving[channel] = self._reactor.seconds() + LINGER

    def follows(self, channel: Channel) -> bool:
        book = self._books.get(channel[0])
        return book is not None and channel[1] in book.rings

    def mark(self, api_key: str) -> int:
        book = self._books.get(api_key)
        return 0 if book is None else book.marked

    def look(self, channel: Channel) -> RingBuffer | None:
        book = self._books.get(channel[0])
        return None if book is None else book.rings.get(channel[1])

    def stock(self) -> Stock:
        books = self._books.values()
        rings = [ring for book in books for ring in book.rings.values()]
        return Stock(sum(map(len, rings)), sum(book.shelf.kept_bytes for book in books), len(rings))

    def expire(self) -> None:
        now = self._reactor.seconds()
        for channel in [channel for channel, until in self._leaving.items() if until <= now]:
            if self._following.leave(self._books[channel[0]], channel[1]):
                del self._leaving[channel]


def _answered(receipt: Receipt, book: Book, name: str) -> Receipt:
    book.knows_of(name, receipt.position)
    return receipt


def _unavailable() -> Refused:
    return Refused(
        errors.ENGINE_UNAVAILABLE,
        "Redis does not answer. It may have been pushed all the same: push it again with the same Idempotency-Key, which "
        "pushes it once.",
    )


def _not_followed() -> Refused:
    return Refused(errors.ENGINE_UNAVAILABLE, "Redis, where pushes are kept, does not answer: come back in a moment.")
