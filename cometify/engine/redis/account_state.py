"""What a node knows of one account in Redis: the rings that it follows, and how far it has heard."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.core.position import RETENTION
from cometify.core.push import Push
from cometify.core.retention import AccountRings
from cometify.core.ring import RingBuffer
from cometify.interfaces import IAnnounce, ILost

Reach = Callable[[int], Mapping[str, int]]

MOST_READ = 8
"""Identifiers that are read in one go: a script holds up everybody, and its answer can be 4 MiB for each, which must have
come before Redis counts as away.
"""


@attrs.define(eq=False)
class ReadBatch:
    """What several who join at once need from Redis. `number`: tells its marks from others'.

    `since`: from where on each identifier must be had. `entries`: what was read of it, `floors` what was dropped of it.
    `left`: the parts that are still to be read; `is_read`: all have been; `position`: of the last part.
    """

    number: int
    since: dict[str, int] = attrs.Factory(dict)
    followers: list[tuple[Reach, Deferred[Mapping[str, RingBuffer]]]] = attrs.Factory(list)
    entries: dict[str, list[Push]] = attrs.Factory(dict)
    floors: dict[str, tuple[int, int]] = attrs.Factory(dict)
    left: list[list[str]] = attrs.Factory(list)
    is_read: bool = False
    position: int = 0


def name_of(api_key: str) -> bytes:
    """The key of an account's state, with which all its keys begin."""
    return f"cometify:{{{api_key}}}".encode()


class AccountState:
    """One account. Positions are those of its time in Redis. `emptied`: told when its memory there has begun anew.

    `watermark`: all pushes up to it were received. `last_heard`: the highest position received, a push's or a watermark's.
    `last_known`: the highest position of a push that this node knows of. `highest`: the highest position known by any means.
    """

    def __init__(self, account: Account, announce: IAnnounce, lost: ILost, emptied: Callable[[str], None]) -> None:
        self.account = account
        self.account_rings = AccountRings()
        self.name = name_of(account.api_key)
        self.began: int | None = None
        self.watermark = self.last_heard = self.last_known = self.highest = 0
        self.pushed_to = ""  # the identifier of the push at `last_known`
        self.went_back = False  # a push came below what was heard, so that its Redis must be an older one
        self.last: dict[str, int] = {}
        """Of each ring: up to where it has everything."""
        self.starting: dict[str, list[Push]] = {}
        """Of identifiers that are subscribed to and not read yet: what was heard meanwhile."""
        self.held: list[tuple[str, bytes]] | None = None
        """While something is being read that must come first: what was heard since, by identifier ('': a mark)."""
        self.reading: ReadBatch | None = None
        self.next_batch: ReadBatch | None = None
        self._announce = announce
        self._lost = lost
        self._emptied = emptied
        self._number = 0

    @property
    def rings(self) -> dict[str, RingBuffer]:
        """The rings that are followed, by identifier."""
        return self.account_rings.rings

    def join_next_batch(self) -> ReadBatch:
        """The ask that those who come now have in common."""
        if self.next_batch is None:
            self._number += 1
            self.next_batch = ReadBatch(self._number)
        return self.next_batch

    def begin_again(self) -> ReadBatch:
        """Have everything that is followed read anew, from where it was heard to."""
        self._number += 1
        self.held = []
        self.starting.clear()
        self.reading = ReadBatch(self._number, dict.fromkeys(self.rings, self.last_heard))
        return self.reading

    def parse(self, identifier: str, text: bytes) -> tuple[int, int, Push]:
        """What is published of a push: where the memory began, the position of the push before it, and it."""
        began, before, position, secret, push_id, head = text.split(b" ", 5)
        return int(began), int(before), _push(identifier, position, secret, push_id, head)

    def must_read(self, name: str, since: int) -> bool:
        """Whether the ring of an identifier does not go back to `since`, or is not there."""
        ring = self.rings.get(name)
        return ring is None or since < ring.since

    def has_missed(self, identifier: str, before: int, push: Push) -> bool:
        """Whether there is a hole between what was heard of a ring and this push, or it comes out of the past: then Redis
        has gone back in time, and what is read from where was heard to would pass over it.
        """
        if push.position <= self.last_heard and push.position != self.last[identifier]:
            self.went_back = True
        return before > self.last[identifier] or push.position <= self.last_heard

    def take(self, push: Push) -> None:
        """A push was heard, or read, that comes next."""
        ring = self.rings[push.identifier]
        self.last[push.identifier] = self.last_heard = push.position
        self.knows_of(push.identifier, push.position)
        self.account_rings.put(ring, push, self.account)
        self.drop(push.position)
        self._announce(ring, push)

    def knows_of(self, identifier: str, position: int) -> None:
        """There is a push at `position`."""
        if position > self.last_known:
            self.last_known, self.pushed_to = position, identifier
        self.highest = max(self.highest, position)

    def hear_watermark(self, position: int) -> None:
        """Everything up to `position` has been heard."""
        self.watermark = max(self.watermark, position)
        self.last_heard = max(self.last_heard, position)
        self.highest = max(self.highest, position)

    def began_at(self, began: int) -> None:
        """Where the memory in Redis begins. If that is elsewhere than it was, all before is lost."""
        if self.began is not None and began > self.began:
            for ring in list(self.rings.values()):
                ring.lose(began)
                self._lost(ring)
            self._emptied(self.account.api_key)
        self.began = max(began, self.began or 0)

    def drop(self, now: int) -> None:
        """Drop what is too old, and what is too much."""
        self.account_rings.drop(now - RETENTION, self.account.keep_bytes)

    def take_read(self, batch: ReadBatch, names: Iterable[str], answer: list[Any]) -> None:
        """A part of what was asked for has been read."""
        batch.position = int(answer[0])
        for name, (floor, secret_floor, entries) in zip(names, answer[2:], strict=True):
            batch.floors[name] = int(floor), int(secret_floor)
            batch.entries[name] = [_push(name, *entry.split(b" ", 3)) for entry in entries]

    def settle(self, batch: ReadBatch) -> None:
        """All was read, and everything up to the ask's last mark was heard: the rings have it now."""
        for name, entries in batch.entries.items():
            if name in self.rings:
                self._deepen(batch, name, entries)
            else:
                self._start(batch, name, entries)
        self.drop(batch.position)

    def _start(self, batch: ReadBatch, name: str, entries: list[Push]) -> None:
        heard = {push.position: push for push in (*entries, *self.starting.pop(name, ()))}
        began = self.began or 0
        floor, secret_floor = batch.floors[name]
        channel = (self.account.api_key, name)
        ring = RingBuffer(channel, max(floor, began), max(secret_floor, began), batch.since[name])
        self.rings[name] = ring
        for position in sorted(heard):
            self.account_rings.put(ring, heard[position], self.account)
        self.last[name] = batch.position

    def _deepen(self, batch: ReadBatch, name: str, entries: list[Push]) -> None:
        ring = self.rings[name]
        older = [push for push in entries if push.position <= ring.since]
        self.account_rings.prepend(ring, older, batch.since[name], batch.floors[name])

    def go_on(self, batch: ReadBatch, heard: Iterable[Push]) -> None:
        """After a loss of touch: take what was read and what was `last_heard` since, all rings in one order."""
        self.went_back = False
        before = self.last_heard
        for name, (floor, secret_floor) in batch.floors.items():
            if max(floor, secret_floor) > before:  # it was dropped there before it could be read
                ring = self.rings[name]
                ring.floor = floor if floor > before else ring.floor
                ring.secret_floor = secret_floor if secret_floor > before else ring.secret_floor
                ring.began = max(ring.began, floor, secret_floor)  # which were dropped is known to nobody here
                self._lost(ring)
        read = [push for entries in batch.entries.values() for push in entries]
        missed = {push.position: push for push in (*read, *heard) if push.position > before}
        for position in sorted(missed):
            self.take(missed[position])
        for name in batch.entries:
            self.last[name] = batch.position

    def forget(self, name: str) -> None:
        """Nobody follows the identifier any more."""
        self.account_rings.remove(self.rings[name])
        del self.last[name]


def _push(identifier: str, position: bytes, secret: bytes, push_id: bytes, head: bytes) -> Push:
    number = None if push_id == b"-" else int(push_id)
    return Push(identifier, number, secret == b"1", int(position), b"%b%b}" % (head, position))
