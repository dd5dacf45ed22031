"""See `IEngine`, over Redis."""

import random
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet import defer, task
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import RedisError, ResponseError

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.frames import push_head
from cometify.core.location import Location
from cometify.core.push import Draft, Receipt
from cometify.core.ring import Channel, RingBuffer
from cometify.engine import refusals
from cometify.engine.redis.book import MOST_READ, Ask, Book
from cometify.engine.redis.link import Connector, Link
from cometify.engine.redis.scripts import APPEND, READ
from cometify.interfaces import IAnnounce, ILost, Stock

log = Logger()

LINGER = 60
"""Seconds that a channel stays followed after its last listener has left: page loads come in bursts."""
ANSWER_WITHIN = 1.5
"""Seconds within which Redis answers a command. With it a publisher has its 503 within two."""
BEAT = 1.0
"""Seconds between two positions that a node says to itself over Redis."""
SILENCE = 3.2
"""Seconds without one after which the subscription is as good as lost: three beats."""
LOOK = 0.25
"""Seconds between two looks at what is late."""
SOON, LONGEST = 0.05, 2.0
"""Seconds of the first and the longest delay before connecting again, which chance shortens."""
MOST_IN_FLIGHT = 20_000
"""Commands that wait for an answer at once."""


class RedisEngine:
    """`announce`: told of every push that is followed, once, in the order of positions; `lost`: of rings that have lost.

    It is away from the beginning on, until `start` has reached Redis.
    """

    def __init__(self, reactor: Any, location: Location, wait: int, announce: IAnnounce, lost: ILost) -> None:
        self._reactor = reactor
        self._location = location
        self._connector = Connector(reactor, location)
        self._announce = announce
        self._lost = lost
        self._node = secrets.token_hex(8)
        self._prefix = f"cometify:{location.database}:"
        self._own = f"{self._prefix}node:{self._node}".encode()
        self._books: dict[str, Book] = {}
        self._channels: dict[bytes, tuple[Book, str]] = {}
        self._leaving: dict[Channel, float] = {}
        self._commands: Link | None = None
        self._subscription: Link | None = None
        self._unread: set[Book] = set()  # while touch is being found again: whose rings are not whole yet
        self._attempt = 0
        self._heard_at = 0.0
        self._retry: Any = None
        self._connecting: Deferred[Any] | None = None
        self._beats = task.LoopingCall(self._beat)
        self._looks = task.LoopingCall(self._look)
        self._beats.clock = self._looks.clock = reactor
        self._running = False
        self.available = False

    # The way to Redis and back to it.

    def start(self) -> None:
        """Reach Redis, and again whenever it is lost."""
        self._running = True
        for call, seconds in ((self._beats, BEAT), (self._looks, LOOK)):
            call.start(seconds, now=False).addErrback(lambda failure: log.failure("The beat has stopped", failure))
        self._connect()

    def stop(self) -> None:
        """Let go of Redis."""
        self._running = False
        for call in (self._beats, self._looks):
            if call.running:
                call.stop()
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        self._let_go("the server goes down")

    def _connect(self) -> None:
        self._retry = None
        self._connecting = self._connector.connect(2)
        self._connecting.addCallbacks(self._connected, self._not_connected)

    def _not_connected(self, failure: Failure) -> None:
        self._connecting = None
        if self._running:
            self._away(failure.getErrorMessage() or repr(failure.value))

    def _away(self, why: str) -> None:
        if self._attempt == 0:
            log.error("Redis ({where}) is away: {why}. Trying again.", where=str(self._location), why=why)
        delay = random.random() * min(LONGEST, SOON * 2**self._attempt)
        self._attempt += 1
        self._retry = self._reactor.callLater(delay, self._connect)

    def _connected(self, links: list[Link]) -> None:
        self._connecting = None
        if not self._running:
            for link in links:
                link.abort("the server goes down")
            return
        self._commands, self._subscription = commands, subscription = links
        commands.lost = subscription.lost = self._let_go
        subscription.heard = self._heard
        self._heard_at = self._reactor.seconds()
        self._unread = {book for book in self._books.values() if book.rings or book.pushed}
        asks = {book: book.begin_again() for book in self._unread}
        channels = [self._own, *self._channels]
        subscribed = [subscription.listen(channels[at : at + 1000]) for at in range(0, len(channels), 1000)]
        whole = defer.gatherResults(subscribed, consumeErrors=True)
        whole.addCallback(lambda _all: self._read_again(asks)).addErrback(self._broken)

    def _read_again(self, asks: Mapping[Book, Ask]) -> None:
        for book, ask in asks.items():
            self._read(book, ask)
        self._in_touch()

    def _in_touch(self) -> None:
        """Once the rings are whole again, everything goes on."""
        if self._unread or self._commands is None or self.available:
            return
        if self._attempt:
            log.info("Redis ({where}) is there", where=str(self._location))
        self._attempt = 0
        self.available = True

    def _let_go(self, why: str) -> None:
        """One connection is lost: the other goes too, and all begins anew. Who waits is told that it may come again."""
        links = [link for link in (self._commands, self._subscription) if link is not None]
        self._commands = self._subscription = None
        self.available = False
        for link in links:
            link.lost = link.heard = None
            link.abort(why)
        for book in self._books.values():
            self._give_up(book)
        if links and self._running:
            self._away(why)

    def _give_up(self, book: Book) -> None:
        asks = [ask for ask in (book.asking, book.following) if ask is not None]
        book.asking = book.following = None
        book.held = None
        for name in book.starting:
            del self._channels[self._channel(book, name)]
        book.starting.clear()
        for ask in asks:
            for _reach, followed in ask.followers:
                followed.errback(_unavailable())

    def _broken(self, failure: Failure) -> None:
        """Something that must not fail has failed: begin anew."""
        if self._commands is not None:
            if not failure.check(RedisError):
                log.failure("What Redis said could not be used", failure)
            self._let_go(failure.getErrorMessage())

    def _look(self) -> None:
        if self._commands is None:
            return
        if self._commands.longest() > ANSWER_WITHIN - LOOK:
            self._let_go(f"no answer within {ANSWER_WITHIN} seconds")
        elif self._reactor.seconds() - self._heard_at > SILENCE:
            self._let_go(f"nothing was heard over the subscription for {SILENCE} seconds")

    def _beat(self) -> None:
        """Say to oneself how late it is, for each account that is listened to, and be it only that one is there."""
        if not self.available or self._commands is None:
            return
        self._commands.execute_command(b"PUBLISH", self._own, b"beat").addErrback(self._broken)
        for book in self._books.values():
            if book.rings and book.asking is None:
                self._read_part(book, 0, [], {}).addErrback(self._broken)

    # Pushing.

    def _book(self, account: Account) -> Book:
        book = self._books.get(account.api_key)
        if book is None:
            book = self._books[account.api_key] = Book(account, self._announce, self._lost)
        book.account = account
        return book

    def _channel(self, book: Book, name: str) -> bytes:
        return f"{self._prefix}{{{book.account.api_key}}}:{name}".encode()

    def append(self, account: Account, draft: Draft) -> Deferred[Receipt]:
        if self._commands is None or not self.available:
            return defer.fail(_unavailable())
        if len(self._commands) > MOST_IN_FLIGHT:
            return defer.fail(
                Refused(
                    errors.OVERLOADED, "More is pushed than Redis takes; nothing was pushed: push again in a moment."
                )
            )
        book = self._book(account)
        name = draft.identifier.folded
        remembers = draft.signature is not None and account.signature_memory > 0
        answered = self._commands.run(
            APPEND, book.name,
            name, push_head(draft), b"1" if draft.secret else b"0", "-" if draft.push_id is None else draft.push_id,
            book.seen, book.pushed,
            account.buffer_pushes, account.buffer_bytes, account.keep_bytes,
            self._channel(book, name),
            draft.signature.hex() if draft.signature is not None and remembers else b"", draft.identifier.spelled,
            account.signature_memory,
            draft.key or b"", draft.fingerprint if draft.key is not None else b"", draft.listeners,
            b"",
        )  # fmt: skip
        return answered.addCallbacks(self._appended, self._not_appended, (book,))

    @staticmethod
    def _appended(answer: list[bytes], book: Book) -> Receipt:
        kind = answer[0]
        if kind == b"ok":
            position = int(answer[1])
            book.knows_of(position)
            return Receipt(position)
        if kind == b"again":
            return Receipt(int(answer[1]), True, int(answer[2]))
        if kind == b"mismatch":
            raise refusals.idempotency_mismatch()
        raise refusals.signature_reused(answer[1].decode())

    def _not_appended(self, failure: Failure) -> Failure:
        failure.trap(RedisError)
        if failure.check(ResponseError):
            self._broken(failure)  # such as that it is a replica now, or out of memory
        return Failure(_unavailable())

    # Following.

    def follow(self, account: Account, reach: Callable[[int], Mapping[str, int]]) -> Deferred[Mapping[str, RingBuffer]]:
        if not self.available:
            return defer.fail(_unavailable())
        book = self._book(account)
        ask = book.next_ask()
        followed: Deferred[Mapping[str, RingBuffer]] = Deferred()
        ask.followers.append((reach, followed))
        if book.asking is None and len(ask.followers) == 1:
            self._reactor.callLater(0, self._ask_next, book)  # who comes in the same turn asks together
        return followed

    def _ask_next(self, book: Book) -> None:
        if book.asking is not None or book.following is None or self._subscription is None:
            return
        ask = book.asking = book.following
        book.following = None
        if book.rings:
            self._subscribe(ask, book, book.marked)
        else:  # it was not listened to until now, so nobody knows how late it is
            answered = self._read_part(book, 0, [], {})
            answered.addCallback(lambda answer: self._subscribe(ask, book, int(answer[0]))).addErrback(self._broken)

    def _subscribe(self, ask: Ask, book: Book, now: int) -> None:
        """Hear first, then read. `now`: about the position at which they will join."""
        if book.asking is not ask or self._subscription is None:
            return
        for reach, _followed in ask.followers:
            for name, since in reach(now).items():
                ask.since[name] = max(0, min(since, ask.since.get(name, since)))
        new = [name for name in ask.since if name not in book.rings]
        for name in new:
            book.starting[name] = []
            self._channels[self._channel(book, name)] = book, name
        if not new:
            self._read(book, ask)
            return
        subscribed = self._subscription.listen([self._channel(book, name) for name in new])
        subscribed.addCallback(lambda _none: self._read(book, ask)).addErrback(self._broken)

    def _read(self, book: Book, ask: Ask) -> None:
        """Read what an ask needs, part by part: at least one, for its mark."""
        anew = book in self._unread
        names = [name for name, since in ask.since.items() if anew or self._must_read(book, name, since)]
        ask.left = [names[at : at + MOST_READ] for at in range(0, len(names), MOST_READ)] or [[]]
        self._read_next(book, ask)

    @staticmethod
    def _must_read(book: Book, name: str, since: int) -> bool:
        ring = book.rings.get(name)
        return ring is None or since < ring.since

    def _read_next(self, book: Book, ask: Ask) -> None:
        names = ask.left.pop(0)
        number = 0 if ask.left else ask.number  # the last part's mark is the seam
        answered = self._read_part(book, number, names, ask.since)
        answered.addCallback(self._read_answered, book, ask, names).addErrback(self._broken)

    def _read_part(self, book: Book, number: int, names: list[str], since: Mapping[str, int]) -> Deferred[Any]:
        assert self._commands is not None
        told = f"{book.account.api_key} {number}"
        arguments = [part for name in names for part in (name, since[name])]
        return self._commands.run(
            READ, book.name, book.seen, book.pushed, self._own, told, book.account.keep_bytes, *arguments
        )

    def _read_answered(self, answer: list[Any], book: Book, ask: Ask, names: list[str]) -> None:
        if book.asking is not ask:
            return
        book.take_read(ask, names, answer)
        ask.is_read = not ask.left
        if ask.left:
            self._read_next(book, ask)
        elif book in self._unread:
            self._go_on(book, ask)
        elif book.held is not None:
            self._settle(book, ask)  # its mark was heard before

    # Hearing.

    def _heard(self, channel: bytes, text: bytes) -> None:
        self._heard_at = self._reactor.seconds()
        found = self._channels.get(channel)
        if found is not None:
            book, name = found
            if book.held is None:
                self._heard_push(book, name, text)
            else:
                book.held.append((name, text))
        elif channel == self._own and text != b"beat":
            api_key, text = text.split(b" ", 1)
            book = self._books[api_key.decode()]
            if book.held is None:
                self._heard_mark(book, text)
            else:
                book.held.append(("", text))
                if book in self._unread and book.asking is not None:
                    self._go_on(book, book.asking)

    def _heard_push(self, book: Book, name: str, text: bytes) -> None:
        began, before, push = book.parse(name, text)
        if name in book.starting:
            book.starting[name].append(push)
            return
        book.began_at(began)
        if book.has_missed(name, before, push):
            self._let_go("a push was missed")
            return
        book.take(push)

    def _heard_mark(self, book: Book, text: bytes) -> None:
        number, began, position = map(int, text.split(b" "))
        book.began_at(began)
        book.mark(position)
        book.drop(position)
        ask = book.asking
        if ask is None or number != ask.number:
            return
        book.held = []  # what comes next waits, so that who joins has its place exactly here
        if ask.is_read:
            self._settle(book, ask)

    def _settle(self, book: Book, ask: Ask) -> None:
        """What was asked for is there, and everything up to its mark was heard, and nothing above: join here."""
        book.settle(ask)
        book.asking = None
        for reach, followed in ask.followers:
            rings = {name: book.rings[name] for name in reach(ask.position)}
            for name in rings:
                self._leaving.pop((book.account.api_key, name), None)
            followed.callback(rings)
        self._release(book)
        self._ask_next(book)

    def _go_on(self, book: Book, ask: Ask) -> None:
        """Touch was lost, and what was missed is read: once its mark is heard too, the account goes on."""
        assert book.held is not None
        seam = next((at for at, (name, text) in enumerate(book.held) if not name and _number(text) == ask.number), None)
        if seam is None or not ask.is_read:
            return
        before, book.held = book.held[:seam], book.held[seam:]
        began = _began(book.held[0][1])
        heard = [book.parse(name, text)[2] for name, text in before if name and name in book.rings]
        book.go_on(ask, heard)
        book.began_at(began)
        book.asking = None
        self._unread.discard(book)
        self._release(book)
        self._in_touch()

    def _release(self, book: Book) -> None:
        """What was held back while something was read comes now."""
        held, book.held = book.held or [], None
        for at, (name, text) in enumerate(held):
            if self._subscription is None:
                return
            if name:
                self._heard_push(book, name, text)
            else:
                self._heard_mark(book, text)
            if book.held is not None:
                book.held += held[at + 1 :]
                return

    # What is followed, and what there is.

    def unfollow(self, channel: Channel) -> None:
        self._leaving[channel] = self._reactor.seconds() + LINGER

    def follows(self, channel: Channel) -> bool:
        book = self._books.get(channel[0])
        return book is not None and channel[1] in book.rings

    def mark(self, api_key: str) -> int:
        book = self._books.get(api_key)
        return 0 if book is None else book.marked

    def stock(self) -> Stock:
        books = self._books.values()
        rings = [ring for book in books for ring in book.rings.values()]
        return Stock(sum(map(len, rings)), sum(book.shelf.kept_bytes for book in books), len(rings))

    def expire(self) -> None:
        now = self._reactor.seconds()
        left = []
        for channel in [channel for channel, until in self._leaving.items() if until <= now]:
            book = self._books[channel[0]]
            if book.asking is not None or book.following is not None:
                continue  # somebody may be about to join
            del self._leaving[channel]
            if channel[1] in book.rings:
                book.forget(channel[1])
                name = self._channel(book, channel[1])
                del self._channels[name]
                left.append(name)
        if left and self._subscription is not None:
            self._subscription.leave(left)


def _number(mark: bytes) -> int:
    return int(mark.split(b" ", 1)[0])


def _began(mark: bytes) -> int:
    return int(mark.split(b" ", 2)[1])


def _unavailable() -> Refused:
    return Refused(
        errors.ENGINE_UNAVAILABLE,
        "Redis does not answer. It may have been pushed all the same: push it again with the same Idempotency-Key, which "
        "pushes it once.",
    )
