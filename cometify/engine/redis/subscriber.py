"""Hearing what is published, and joining to it what must be read: the node's half of an account's order."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred

from cometify.core.errors import Refused
from cometify.core.ring import RingBuffer
from cometify.engine.redis.account_state import MOST_READ, Ask, Book, Reach
from cometify.engine.redis.connection import Link
from cometify.engine.redis.scripts import READ
from cometify.engine.redis.session import Touch

MOST_SUBSCRIBED = 1000
"""Channels in one command."""
ABOVE_ALL = 2**62
"""A push that no Redis knows of: its memory of the account begins anew."""

Rings = Mapping[str, RingBuffer]


class Following:
    """`node`: the name of this node; `prefix`: what all channels begin with; `found()`: told when, after connecting, all
    rings of all books are whole.
    """

    def __init__(
        self,
        touch: Touch,
        node: str,
        prefix: str,
        books: Mapping[str, Book],
        later: Callable[..., object],
        found: Callable[[], None],
    ) -> None:
        self._touch = touch
        self._node = node
        self._prefix = prefix
        self._own = f"{prefix}node:{node}".encode()
        self._books = books
        self._later = later
        self._found = found
        self._channels: dict[bytes, tuple[Book, str]] = {}
        self._unread: set[Book] = set()  # after connecting: whose rings are not whole yet

    def channel(self, book: Book, name: str) -> bytes:
        """On which the pushes of an identifier are published. All databases of a Redis share its channels."""
        return f"{self._prefix}{{{book.account.api_key}}}:{name}".encode()

    def _must(self, answered: "Deferred[Any]", link: Link) -> None:
        """What must not fail: if it does, the connection is no good."""
        answered.addErrback(self._touch.broken, link)

    # After a loss of touch.

    def begin_again(self) -> None:
        """Subscribe to everything, then read what was missed."""
        commands, subscription = self._touch.commands, self._touch.subscription
        assert commands is not None
        assert subscription is not None
        self._unread = {book for book in self._books.values() if book.rings or book.pushed}
        asks = {book: book.begin_again() for book in self._unread}
        channels = [self._own, *self._channels]
        subscribed = defer.gatherResults(
            [
                subscription.listen(channels[at : at + MOST_SUBSCRIBED])
                for at in range(0, len(channels), MOST_SUBSCRIBED)
            ],
            consumeErrors=True,
        )
        self._must(subscribed.addCallback(self._read_again, asks, commands), commands)

    def _read_again(self, _none: object, asks: Mapping[Book, Ask], commands: Link) -> None:
        if commands is not self._touch.commands:
            return
        for book, ask in asks.items():
            self._read(book, ask, commands)
        if not asks:
            self._found()

    def give_up(self, why: Callable[[], Refused]) -> None:
        """Touch is lost: who waits to join is refused, what was being read is nothing."""
        for book in self._books.values():
            asks = [ask for ask in (book.asking, book.following) if ask is not None]
            book.asking = book.following = None
            book.held = None
            for name in book.starting:
                del self._channels[self.channel(book, name)]
            book.starting.clear()
            for ask in asks:
                for _reach, followed in ask.followers:
                    followed.errback(why())

    # Joining.

    def follow(self, book: Book, reach: Reach) -> Deferred[Rings]:
        """See `IEngine.follow`. Who comes in the same turn, or while something is being read, asks together."""
        ask = book.next_ask()
        followed: Deferred[Rings] = Deferred()
        ask.followers.append((reach, followed))
        if book.asking is None and len(ask.followers) == 1:
            self._later(0, self._ask_next, book)
        return followed

    def _ask_next(self, book: Book) -> None:
        commands = self._touch.commands
        if book.asking is not None or book.following is None or commands is None:
            return
        ask = book.asking = book.following
        book.following = None
        if book.rings:
            self._subscribe(book, ask, book.marked, commands)
        else:  # it was not listened to until now, so nobody knows how late it is
            answered = self._run(book, commands, 0, [], {})
            self._must(
                answered.addCallback(lambda answer: self._subscribe(book, ask, int(answer[0]), commands)), commands
            )

    def _subscribe(self, book: Book, ask: Ask, now: int, commands: Link) -> None:
        """Hear first, then read. `now`: about the position at which they will join."""
        if book.asking is not ask or self._touch.subscription is None:
            return
        for reach, _followed in ask.followers:
            for name, since in reach(now).items():
                ask.since[name] = max(0, min(since, ask.since.get(name, since)))
        new = [name for name in ask.since if name not in book.rings]
        for name in new:
            book.starting[name] = []
            self._channels[self.channel(book, name)] = book, name
        if not new:
            self._read(book, ask, commands)
            return
        subscribed = self._touch.subscription.listen([self.channel(book, name) for name in new])
        self._must(subscribed.addCallback(lambda _none: self._read(book, ask, commands)), commands)

    # Reading.

    def _read(self, book: Book, ask: Ask, commands: Link) -> None:
        """Read what an ask needs, part by part: at least one, for its mark."""
        if book.asking is not ask:
            return
        anew = book in self._unread
        names = [name for name, since in ask.since.items() if anew or book.must_read(name, since)]
        ask.left = [names[at : at + MOST_READ] for at in range(0, len(names), MOST_READ)] or [[]]
        self._read_next(book, ask, commands)

    def _read_next(self, book: Book, ask: Ask, commands: Link) -> None:
        names = ask.left.pop(0)
        number = 0 if ask.left else ask.number  # the last part's mark is the seam
        answered = self._run(book, commands, number, names, ask.since)
        self._must(answered.addCallback(self._read_part, book, ask, names, commands), commands)

    def _run(
        self, book: Book, commands: Link, number: int, names: list[str], since: Mapping[str, int]
    ) -> Deferred[Any]:
        told = f"{book.account.api_key} {number}"
        known = book.pushed_to if book in self._unread else ""
        pushed = ABOVE_ALL if book.went_back else book.pushed
        arguments = [part for name in names for part in (name, since[name])]
        return commands.run(
            READ, book.name,
            book.seen, pushed, self._own, told, book.account.keep_bytes, self._node, known, book.heard,
            *arguments,
        )  # fmt: skip

    def _read_part(self, answer: list[Any], book: Book, ask: Ask, names: list[str], commands: Link) -> None:
        if book.asking is not ask:
            return
        book.take_read(ask, names, answer)
        ask.is_read = not ask.left
        if ask.left:
            self._read_next(book, ask, commands)
        elif book in self._unread:
            self._go_on(book, ask)
        elif book.held is not None:
            self._settle(book, ask)  # its mark was heard before

    # Hearing.

    def beat(self, unsaid: Callable[[Book, int], None]) -> None:
        """Say to oneself how late it is, for each account that is listened to, and be it only that one is there.

        `unsaid`: told of an account in which pushes wait to be published, up to a position.
        """
        commands = self._touch.commands
        assert commands is not None
        self._must(commands.execute_command(b"PUBLISH", self._own, b"beat"), commands)
        for book in self._books.values():
            if book.rings and book.asking is None:
                answered = self._run(book, commands, 0, [], {})
                self._must(answered.addCallback(_look_for_unsaid, book, unsaid), commands)

    def heard(self, channel: bytes, text: bytes) -> None:
        """Something was published."""
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
            self._touch.let_go("a push was missed")
        else:
            book.take(push)

    def _heard_mark(self, book: Book, text: bytes) -> None:
        number, began, position = map(int, text.split(b" "))
        book.began_at(began)
        book.mark(position)
        book.drop(position)
        ask = book.asking
        if ask is not None and number == ask.number:
            book.held = []  # what comes next waits, so that who joins has its place exactly here
            if ask.is_read:
                self._settle(book, ask)

    def _settle(self, book: Book, ask: Ask) -> None:
        """What was asked for is there, and everything up to its mark was heard, and nothing above: join here."""
        book.settle(ask)
        book.asking = None
        for reach, followed in ask.followers:
            followed.callback({name: book.rings[name] for name in reach(ask.position)})
        self._release(book)
        self._ask_next(book)

    def _go_on(self, book: Book, ask: Ask) -> None:
        """Touch was lost, and what was missed is read: once its mark is heard too, the account goes on."""
        held = book.held or []
        seam = next((at for at, (name, text) in enumerate(held) if not name and _number(text) == ask.number), None)
        if seam is None or not ask.is_read:
            return
        book.held = held[seam:]
        book.go_on(ask, [book.parse(name, text)[2] for name, text in held[:seam] if name in book.rings])
        book.asking = None
        self._unread.discard(book)
        self._release(book)
        if not self._unread and self._touch.commands is not None:
            self._found()

    def _release(self, book: Book) -> None:
        """What was held back while something was read comes now."""
        held, book.held = book.held or [], None
        for at, (name, text) in enumerate(held):
            if self._touch.commands is None:
                return
            if not name:
                self._heard_mark(book, text)
            elif name in book.rings or name in book.starting:
                self._heard_push(book, name, text)
            if book.held is not None:
                book.held += held[at + 1 :]
                return

    def leave(self, book: Book, name: str) -> bool:
        """Nobody listens to the identifier any more. False if somebody may be about to."""
        if book.asking is not None or book.following is not None:
            return False
        if name in book.rings:
            book.forget(name)
            channel = self.channel(book, name)
            del self._channels[channel]
            if self._touch.subscription is not None:
                self._touch.subscription.leave([channel])
        return True


def _look_for_unsaid(answer: list[Any], book: Book, unsaid: Callable[[Book, int], None]) -> None:
    mark, position = int(answer[0]), int(answer[1])
    if mark < position:
        unsaid(book, position)


def _number(mark: bytes) -> int:
    return int(mark.split(b" ", 1)[0])
