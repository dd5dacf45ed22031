"""The part of one account that a node has: the rings that it follows, and up to which position it has heard.

The theory of operation in `cometify.engine.redis` explains the positions that are kept here.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

import attrs
from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.core.position import RETENTION
from cometify.core.push import Push
from cometify.core.retention import AccountRings
from cometify.core.ring import RingBuffer, most_drops
from cometify.engine.redis.scripts import ReadAnswer
from cometify.interfaces import IAnnounce, ILost

Reach = Callable[[int], Mapping[str, int]]
"""See `IEngine.follow`."""

Follower = tuple[Reach, Deferred[Mapping[str, RingBuffer]]]
"""A join that waits: what it asks for, and the Deferred of its rings."""

MOST_JOINS = 50
"""Joins that share one read. All of them join in the turn in which the read is done, at about 50 us each."""
MOST_READ = 8
"""Identifiers that one script reads. A script stops everybody else, and its answer can be 4 MiB for each identifier, which
must arrive before Redis counts as away.
"""


@attrs.define(eq=False)
class ReadBatch:
    """A read from Redis that several listeners share, because they join at the same time.

    `number`: tells the watermarks of this batch from those of others. `since`: for each identifier the position from
    which on it must be complete. `followers`: the joins that wait. `entries` and `floors`: what was read of each
    identifier, and what was dropped of it. `left`: the parts that are still to be read. `position`: that of the last
    part, which is the seam.
    """

    number: int
    since: dict[str, int] = attrs.Factory(dict)
    followers: list[Follower] = attrs.Factory(list)
    entries: dict[str, list[Push]] = attrs.Factory(dict)
    floors: dict[str, tuple[int, int]] = attrs.Factory(dict)
    left: list[list[str]] = attrs.Factory(list)
    is_read: bool = False
    position: int = 0

    def ask(self, now: int) -> None:
        """Ask the joins which identifiers they need, and from where on. `now`: about the position of the seam."""
        for reach, _followed in self.followers:
            for name, since in reach(now).items():
                self.since[name] = max(0, min(since, self.since.get(name, since)))

    def split(self, names: list[str]) -> None:
        """Make parts of the identifiers to be read. There is at least one, because the last one's watermark is the seam."""
        self.left = [names[at : at + MOST_READ] for at in range(0, len(names), MOST_READ)] or [[]]


def name_of(api_key: str) -> bytes:
    """The key in Redis of an account's state. All keys of the account begin with it."""
    return f"cometify:{{{api_key}}}".encode()


class AccountState:
    """One account. Positions are those of its time in Redis. `emptied`: called when its memory there has begun again.

    `watermark`: all pushes up to it were received. `last_heard`: the highest position received, a push's or a
    watermark's. `last_known`: the highest position of a push that this node knows of, at `last_known_name`. `highest`:
    the highest position known by any means.

    `went_back`: a push came below `last_heard`, which only a Redis with an older state can send. `complete_to`: for each
    ring the position up to which it has everything. `starting`: for each identifier that is subscribed to and not read
    yet, the pushes heard meanwhile. `held`: while a read must come first, the messages heard since, by identifier (""
    for a watermark), else None. `waiting`: the joins that are in no batch yet. `quiet_since`: set to None with each push
    and each join, see `quiet_for`.
    """

    def __init__(self, account: Account, announce: IAnnounce, lost: ILost, emptied: Callable[[str], None]) -> None:
        self.account = account
        self.account_rings = AccountRings()
        self.name = name_of(account.api_key)
        self.began: int | None = None
        self.watermark = self.last_heard = self.last_known = self.highest = 0
        self.last_known_name = ""
        self.went_back = False
        self.complete_to: dict[str, int] = {}
        self.starting: dict[str, list[Push]] = {}
        self.held: list[tuple[str, bytes]] | None = None
        self.reading: ReadBatch | None = None
        self.waiting: deque[Follower] = deque()
        self.quiet_since: float | None = None
        self._announce = announce
        self._lost = lost
        self._emptied = emptied
        self._number = 0

    @property
    def rings(self) -> dict[str, RingBuffer]:
        """The rings that are followed, by identifier."""
        return self.account_rings.rings

    def quiet_for(self, now: float) -> float:
        """The seconds since the first call of this that found the account out of use. `now`: seconds of the reactor."""
        follows = self.rings or self.starting or self.reading is not None or self.waiting
        if follows or self.quiet_since is None:
            self.quiet_since = now
        return now - self.quiet_since

    def begin_batch(self) -> ReadBatch:
        """Begin a batch for the joins that have waited longest, at most `MOST_JOINS`."""
        self._number += 1
        self.reading = batch = ReadBatch(self._number)
        for _ in range(min(MOST_JOINS, len(self.waiting))):
            batch.followers.append(self.waiting.popleft())
        return batch

    def give_up(self) -> list[Follower]:
        """Forget what is being read. Returns all joins that wait, which must be refused."""
        given_up = [*(self.reading.followers if self.reading is not None else ()), *self.waiting]
        self.reading = self.held = None
        self.waiting.clear()
        self.starting.clear()
        return given_up

    def begin_again(self) -> ReadBatch:
        """Begin a batch that reads everything that is followed, from where it was heard to."""
        self._number += 1
        self.held = []
        self.starting.clear()
        self.reading = ReadBatch(self._number, dict.fromkeys(self.rings, self.last_heard))
        return self.reading

    def set_aside(self) -> list[Follower]:
        """Give up, and hold back what is heard from now on, because Redis cannot read the account. Returns all joins."""
        given_up = self.give_up()
        self.held = []
        return given_up

    def parse(self, identifier: str, text: bytes) -> tuple[int, int, Push]:
        """Read a published push: where the memory of the account begins, the position of the push before it, the push."""
        began, before, position, secret, push_id, head = text.split(b" ", 5)
        return int(began), int(before), _push(identifier, position, secret, push_id, head)

    def must_read(self, name: str, since: int) -> bool:
        """True if the ring of an identifier is missing, or does not go back to `since`."""
        ring = self.rings.get(name)
        return ring is None or since < ring.since

    def has_missed(self, identifier: str, before: int, push: Push) -> bool:
        """True if there is a hole before this push, or the push is older than what was heard.

        In the second case Redis has gone back in time. That is remembered in `went_back`, because reading from where
        the node had heard to would pass over the push.
        """
        if push.position <= self.last_heard and push.position != self.complete_to[identifier]:
            self.went_back = True
        return before > self.complete_to[identifier] or push.position <= self.last_heard

    def take(self, push: Push) -> None:
        """Put the next push, heard or read, into its ring, and announce it."""
        ring = self.rings[push.identifier]
        self.complete_to[push.identifier] = self.last_heard = push.position
        self.knows_of(push.identifier, push.position)
        self.account_rings.put(ring, push, self.account)
        self.account_rings.drop(push.position - RETENTION, self.account.keep_bytes, most_drops(push))
        self._announce(ring, push)

    def knows_of(self, identifier: str, position: int) -> None:
        """Remember that there is a push at `position`."""
        if position > self.last_known:
            self.last_known, self.last_known_name = position, identifier
        self.highest = max(self.highest, position)

    def hear_watermark(self, position: int) -> None:
        """Note that everything up to `position` has been heard."""
        self.watermark = max(self.watermark, position)
        self.last_heard = max(self.last_heard, position)
        self.highest = max(self.highest, position)

    def began_at(self, began: int) -> None:
        """Note where the account's memory in Redis begins. If it begins later than before, everything older is lost."""
        if self.began is not None and began > self.began:
            for ring in list(self.rings.values()):
                ring.lose(began)
                self._lost(ring)
            self._emptied(self.account.api_key)
        self.began = max(began, self.began or 0)

    def drop(self, now: int) -> None:
        """Drop pushes that are too old, and the oldest ones while the account keeps too many bytes."""
        self.account_rings.drop(now - RETENTION, self.account.keep_bytes)

    def expire(self) -> bool:
        """Drop some of the pushes that are too old by the time of Redis. Returns whether more are."""
        oldest, most_bytes = self.watermark - RETENTION, self.account.keep_bytes
        self.account_rings.drop(oldest, most_bytes)
        return self.account_rings.is_due(oldest, most_bytes)

    def take_read(self, batch: ReadBatch, names: Iterable[str], answer: ReadAnswer) -> None:
        """Take the answer of `read.lua` for one part of a batch."""
        batch.position = int(answer[0])
        for name, (floor, secret_floor, entries) in zip(names, answer[2:], strict=True):
            batch.floors[name] = int(floor), int(secret_floor)
            batch.entries[name] = [_push(name, *entry.split(b" ", 3)) for entry in entries]

    def settle(self, batch: ReadBatch) -> None:
        """Put a batch into the rings. All of it was read, and everything up to its seam was heard."""
        for name, entries in batch.entries.items():
            if name in self.rings:
                self._deepen(batch, name, entries)
            else:
                self._start(batch, name, entries)
        self.drop(batch.position)

    def _start(self, batch: ReadBatch, name: str, entries: list[Push]) -> None:
        """Make a ring of what was read and what was heard meanwhile. A push can be in both."""
        heard = {push.position: push for push in (*entries, *self.starting.pop(name, ()))}
        began = self.began or 0
        floor, secret_floor = batch.floors[name]
        channel = (self.account.api_key, name)
        ring = RingBuffer(channel, max(floor, began), max(secret_floor, began), batch.since[name])
        self.rings[name] = ring
        for position in sorted(heard):
            self.account_rings.put(ring, heard[position], self.account)
        self.complete_to[name] = batch.position

    def _deepen(self, batch: ReadBatch, name: str, entries: list[Push]) -> None:
        """Put older pushes before those that a ring has."""
        ring = self.rings[name]
        older = [push for push in entries if push.position <= ring.since]
        self.account_rings.prepend(ring, older, batch.since[name], batch.floors[name])

    def stop_starting(self, batch: ReadBatch) -> list[str]:
        """Forget what was heard of the identifiers that a batch began with, because it cannot be read. Returns them."""
        names = [name for name in batch.since if name in self.starting]
        for name in names:
            del self.starting[name]
        return names

    def heard_before_seam(self, batch: ReadBatch) -> list[Push] | None:
        """Take the pushes that lie before the seam of a batch from the held messages. None if it was not heard yet."""
        held = self.held or []
        seam = next((at for at, (name, text) in enumerate(held) if not name and _number(text) == batch.number), None)
        if seam is None:
            return None
        self.held = held[seam:]
        return [self.parse(name, text)[2] for name, text in held[:seam] if name in self.rings]

    def resume(self, batch: ReadBatch, heard: Iterable[Push]) -> None:
        """After a lost session: take what was read and what was heard since, over all rings in one order."""
        self.went_back = False
        before = self.last_heard
        for name, (floor, secret_floor) in batch.floors.items():
            if max(floor, secret_floor) > before:  # Redis dropped pushes before they could be read
                ring = self.rings[name]
                ring.floor = floor if floor > before else ring.floor
                ring.secret_floor = secret_floor if secret_floor > before else ring.secret_floor
                # Nobody here has seen which pushes those were.
                ring.began = max(ring.began, floor, secret_floor)
                self._lost(ring)
        read = [push for entries in batch.entries.values() for push in entries]
        missed = {push.position: push for push in (*read, *heard) if push.position > before}
        for position in sorted(missed):
            self.take(missed[position])
        for name in batch.entries:
            self.complete_to[name] = batch.position

    def forget(self, name: str) -> None:
        """Forget the ring of an identifier that is no longer followed."""
        self.account_rings.remove(self.rings[name])
        del self.complete_to[name]


def _push(identifier: str, position: bytes, secret: bytes, push_id: bytes, head: bytes) -> Push:
    number = None if push_id == b"-" else int(push_id)
    return Push(identifier, number, secret == b"1", int(position), b"%b%b}" % (head, position))


def _number(watermark: bytes) -> int:
    return int(watermark.split(b" ", 1)[0])
