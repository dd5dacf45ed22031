"""The part of one account that a node has: the rings that it follows, and the position up to which it has heard.

The theory of operation in `cometify.engine.redis` explains the positions that are kept here.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from cometify.core.account import Account
from cometify.core.kept_pushes import Dropped, KeptPushes, most_drops
from cometify.core.position import RETENTION, SECOND
from cometify.core.push import Push
from cometify.core.retention import AccountRings
from cometify.core.ring import RingBuffer
from cometify.engine.redis.announcements import Announced, read_announced, read_entries
from cometify.engine.redis.messages import read_numbers
from cometify.engine.redis.push_queue import PushQueue
from cometify.engine.redis.read_batch import MOST_JOINS, Follower, ReadBatch, Since, since_heard
from cometify.engine.redis.revocations import AccountRevocations
from cometify.engine.redis.scripts import ReadAnswer
from cometify.interfaces import IAnnounce, ILost

FORGET_REVOKED = 100
"""Revocations that one call of `expire` forgets."""


def name_of(api_key: str) -> bytes:
    """The key in Redis of an account's state. All keys of the account begin with it."""
    return f"cometify:{{{api_key}}}".encode()


class AccountState:
    """One account. Positions are those of its time in Redis. `emptied`: called when its memory there has begun again.

    `watermark`: all pushes up to it were received. `last_heard`: the highest position received, a push's or a
    watermark's. `last_known`: the highest position of a push that this node knows of, on the identifier `last_known_name`.
    `highest`: the highest position known by any means.

    `went_back`: a push came below `last_heard`, which only a Redis with an older state can send. `complete_to`: for each
    ring the position up to which it has everything. `starting`: for each identifier that is subscribed to and not read
    yet, the pushes heard meanwhile. `held`: while a read must come first, the messages heard since, by identifier (""
    for a watermark), else None. `waiting`: the joins that are in no batch yet. `quiet_since`: set to None with each push
    and each join, see `quiet_for`. `pushes`: those that have no answer yet. `last_batch`: the number of the
    last batch.
    """

    def __init__(
        self,
        account: Account,
        announce: IAnnounce,
        lost: ILost,
        emptied: Callable[[str], None],
        revocations: AccountRevocations,
    ) -> None:
        self.account = account
        self.revocations = revocations
        self.account_rings = AccountRings()
        self.name = name_of(account.api_key)
        self.began: int | None = None
        self.watermark = self.last_heard = self.last_known = self.highest = 0
        self.last_known_name = ""
        self.last_known_secret = False
        self.went_back = False
        self.complete_to: dict[str, int] = {}
        self.starting: dict[str, list[Push]] = {}
        self.held: list[tuple[str, bytes]] | None = None
        self.reading: ReadBatch | None = None
        self.waiting: deque[Follower] = deque()
        self.quiet_since: float | None = None
        self.pushes = PushQueue()
        self._announce = announce
        self._lost = lost
        self._emptied = emptied
        self.last_batch = 0

    @property
    def rings(self) -> dict[str, RingBuffer]:
        """The rings that are followed, by identifier."""
        return self.account_rings.rings

    def go_on_from(self, other: "AccountState") -> None:
        """Take over the rings that this account had at another Redis, and the positions up to which they were heard."""
        self.account_rings, other.account_rings = other.account_rings, self.account_rings
        self.complete_to, other.complete_to = other.complete_to, self.complete_to
        self.revocations, self.began, self.went_back = other.revocations, other.began, other.went_back
        self.watermark, self.last_heard, self.highest = other.watermark, other.last_heard, other.highest
        self.last_known, self.last_known_name = other.last_known, other.last_known_name
        self.last_known_secret, self.last_batch = other.last_known_secret, other.last_batch

    def quiet_for(self, now: float) -> float:
        """The seconds since the first call of this that found the account out of use. `now`: seconds of the reactor."""
        follows = self.rings or self.starting or self.reading is not None or self.waiting
        if follows or self.quiet_since is None:
            self.quiet_since = now
        return now - self.quiet_since

    def begin_batch(self) -> ReadBatch:
        """Begin a batch for the joins that have waited longest, at most `MOST_JOINS`."""
        self.last_batch += 1
        self.reading = batch = ReadBatch(self.last_batch)
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

    def begin_again(self, *, is_connected: bool = False) -> ReadBatch:
        """Begin a batch that reads all that is followed. `is_connected`: this very connection has told `last_heard`."""
        self.last_batch += 1
        self.held = []
        self.starting.clear()
        since = since_heard(self.rings, self.last_heard, is_connected=is_connected)
        self.reading = ReadBatch(self.last_batch, since)
        return self.reading

    def set_aside(self) -> list[Follower]:
        """Give up, and hold back what is heard from now on, because Redis cannot read the account. Returns all joins."""
        given_up = self.give_up()
        self.held = []
        return given_up

    def must_read(self, name: str, since: Since) -> bool:
        """True if the ring of an identifier is missing, or does not go back to `since`."""
        ring = self.rings.get(name)
        if ring is None:
            return True
        public, secret = since
        return public < ring.public.since or (secret is not None and secret < ring.secret.since)

    def has_missed(self, identifier: str, before: int, push: Push) -> bool:
        """True if there is a hole before this push, or the push is older than what was heard.

        In the second case Redis has gone back in time. That is remembered in `went_back`, because reading from where
        the node had heard to would pass over the push.
        """
        if push.position <= self.last_heard and push.position != self.complete_to[identifier]:
            self.went_back = True
        return before > self.complete_to[identifier] or push.position <= self.last_heard

    def take_announced(self, identifier: str, announced: Announced) -> Push | None:
        """Take pushes of one message, up to one that does not follow on what was heard. Returns that one, or None."""
        for before, push in announced:
            if self.has_missed(identifier, before, push):
                return push
            self.take(push)
        return None

    def take(self, push: Push) -> None:
        """Put the next push, heard or read, into its ring, and announce it."""
        ring = self.rings[push.identifier]
        self.complete_to[push.identifier] = self.last_heard = push.position
        self.knows_of(push.identifier, push.secret, push.position)
        retention = self.account_rings.put(ring, push, self.account)
        retention.drop(push.position - RETENTION, self.account.keep_bytes, most_drops(push))
        self._announce(ring, push)

    def knows_of(self, identifier: str, secret: bool, position: int) -> None:
        """Remember that there is a push at `position`."""
        if position > self.last_known:
            self.last_known, self.last_known_name, self.last_known_secret = position, identifier, secret
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

    def drop_public(self, now: int) -> None:
        """Drop public pushes that are too old, and the oldest ones while the account keeps too many bytes of them.

        This is done while listeners join, so secret pushes are left to `expire`: the time would tell of them.
        """
        self.account_rings.public.drop(now - RETENTION, self.account.keep_bytes)

    def expire(self) -> bool:
        """Drop some of the pushes that are too old by the time of Redis. Returns whether more are."""
        oldest, most_bytes = self.watermark - RETENTION, self.account.keep_bytes
        self.revocations.forget(self.watermark / SECOND, FORGET_REVOKED)
        rings = self.account_rings
        rings.names.expire(self.watermark)
        rings.drop(oldest, most_bytes)
        return rings.public.is_due(oldest, most_bytes) or rings.secret.is_due(oldest, most_bytes)

    def take_read(self, batch: ReadBatch, names: Sequence[str], answer: ReadAnswer) -> int:
        """Take the answer of `read.lua` for one part of a batch. Returns how many of the names it has: the first ones."""
        batch.position = int(answer[0])
        found = answer[3:]
        for name, (floor, secret_floor, public, secret) in zip(names, found, strict=False):
            batch.floors[name] = int(floor), int(secret_floor)
            batch.entries[name] = read_entries(name, public), read_entries(name, secret)
        return len(found)

    def settle(self, batch: ReadBatch) -> None:
        """Put a batch into the rings. All of it was read, and everything up to its seam was heard."""
        for name in batch.entries:
            if name in self.rings:
                self._deepen(batch, name)
            else:
                self._start(batch, name)
        self.drop_public(batch.position)

    def _start(self, batch: ReadBatch, name: str) -> None:
        """Make a ring of what was read and what was heard meanwhile. A push can be in both.

        If no secret pushes were read, those that were heard are left out too, and the ring has secret pushes from the seam
        on. It is deepened when somebody comes who may see them.
        """
        since, secret_since = batch.since[name]
        began = self.began or 0
        floor, secret_floor = batch.floors[name]
        secret_begins = batch.position if secret_since is None else secret_since
        kinds = (
            KeptPushes(Dropped(max(floor, began)), since),
            KeptPushes(Dropped(max(secret_floor, began)), secret_begins),
        )
        rings, ring = self.account_rings, RingBuffer((self.account.api_key, name), *kinds)
        rings.add(ring)
        for kept, retention, entries in zip(kinds, (rings.public, rings.secret), batch.entries[name], strict=True):
            # All at once, because a batch can have 100,000 pushes.
            retention.prepend(
                ring, kept, [push for push in entries if push.position > kept.since], kept.since, kept.floor
            )
        for push in self.starting.pop(name, ()):
            if push.position > ring.of(push.secret).newest:
                rings.put(ring, push, self.account)
        self.complete_to[name] = batch.position

    def _deepen(self, batch: ReadBatch, name: str) -> None:
        """Put older pushes before those that a ring has."""
        ring, rings = self.rings[name], self.account_rings
        kinds = zip((ring.public, ring.secret), (rings.public, rings.secret), strict=True)
        read = zip(batch.entries[name], batch.since[name], batch.floors[name], strict=True)
        for (kept, retention), (entries, since, floor) in zip(kinds, read, strict=True):
            if since is not None:
                older = [push for push in entries if push.position <= kept.since]
                retention.prepend(ring, kept, older, since, floor)

    def stop_starting(self, batch: ReadBatch) -> list[str]:
        """Forget what was heard of the identifiers that a batch began with, because it cannot be read. Returns them."""
        return [name for name in batch.since if self.starting.pop(name, None) is not None]

    def heard_before_seam(self, batch: ReadBatch) -> list[Push] | None:
        """Take the pushes that lie before the seam of a batch from the held messages. None if it was not heard yet."""
        held = self.held or []
        seam = next((at for at, (name, text) in enumerate(held) if not name and _number(text) == batch.number), None)
        if seam is None:
            return None
        self.held = held[seam:]
        batch.began = read_numbers(held[seam][1], 3)[1]
        messages = [read_announced(name, text)[1] for name, text in held[:seam] if name in self.rings]
        return [push for announced in messages for _before, push in announced]

    def resume(self, batch: ReadBatch, heard: Iterable[Push]) -> None:
        """After a lost session: take what was read and what was heard since, over all rings in one order."""
        self.went_back = False
        before = self.last_heard
        for name, floors in batch.floors.items():
            ring = self.rings[name]
            lost = False
            for kept, floor in zip((ring.public, ring.secret), floors, strict=True):
                if floor > before:  # Redis dropped pushes before they could be read
                    kept.floor = floor
                    # Nobody here has seen which pushes those were.
                    kept.began = max(kept.began, floor)
                    lost = True
            if lost:
                self._lost(ring)
        read = [push for entries in batch.entries.values() for kind in entries for push in kind]
        missed = {push.position: push for push in (*read, *heard) if push.position > before}
        for position in sorted(missed):
            self.take(missed[position])
        for name in batch.entries:
            self.complete_to[name] = batch.position

    def forget(self, name: str) -> None:
        """Forget the ring of an identifier that is no longer followed."""
        self.account_rings.remove(self.rings[name])
        del self.complete_to[name]


def _number(watermark: bytes) -> int:
    return read_numbers(watermark, 3)[0]
