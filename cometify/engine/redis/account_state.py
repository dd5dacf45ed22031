"""What a node knows of one account in Redis: the rings that it follows, and how far it has heard."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from cometify.core.account import KEPT, Account
from cometify.core.push import Push
from cometify.core.retention import Shelf
from cometify.core.ring import RingBuffer
from cometify.interfaces import IAnnounce, ILost

Reach = Callable[[int], Mapping[str, int]]

MOST_READ = 8
"""Identifiers that are read in one go: a script holds up everybody, and its answer can be 4 MiB for each, which must have
come before Redis counts as away.
"""


@attrs.define(eq=False)
class Ask:
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


class Book:
    """One account. Positions are those of its time in Redis. `emptied`: told when its memory there has begun anew.

    `marked`: everything up to there has been heard, and it is no push's position. `heard`: the highest position heard, a
    push's or a mark's. `pushed`: the highest of a push that is known of, heard or answered for. `seen`: the highest of all.
    """

    def __init__(self, account: Account, announce: IAnnounce, lost: ILost, emptied: Callable[[str], None]) -> None:
        self.account = account
        self.shelf = Shelf()
        self.name = name_of(account.api_key)
        self.began: int | None = None
        self.marked = self.heard = self.pushed = self.seen = 0
        self.pushed_to = ""  # the identifier of the push at `pushed`
        self.went_back = False  # a push came below what was heard, so that its Redis must be an older one
        self.last: dict[str, int] = {}
        """Of each ring: up to where it has everything."""
        self.starting: dict[str, list[Push]] = {}
        """Of identifiers that are subscribed to and not read yet: what was heard meanwhile."""
        self.held: list[tuple[str, bytes]] | None = None
        """While something is being read that must come first: what was heard since, by identifier ('': a mark)."""
        self.asking: Ask | None = None
        self.following: Ask | None = None
        self._announce = announce
        self._lost = lost
        self._emptied = emptied
        self._number = 0

    @property
    def rings(self) -> dict[str, RingBuffer]:
        """The rings that are followed, by identifier."""
        return self.shelf.rings

    def next_ask(self) -> Ask:
        """The ask that those who come now have in common."""
        if self.following is None:
            self._number += 1
            self.following = Ask(self._number)
        return self.following

    def begin_again(self) -> Ask:
        """Have everything that is followed read anew, from where it was heard to."""
        self._number += 1
        self.held = []
        self.starting.clear()
        self.asking = Ask(self._number, dict.fromkeys(self.rings, self.heard))
        return self.asking

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
        if push.position <= self.heard and push.position != self.last[identifier]:
            self.went_back = True
        return before > self.last[identifier] or push.position <= self.heard

    def take(self, push: Push) -> None:
        """A push was heard, or read, that comes next."""
        ring = self.rings[push.identifier]
        self.last[push.identifier] = self.heard = push.position
        self.knows_of(push.identifier, push.position)
        self.shelf.put(ring, push, self.account)
        self.drop(push.position)
        self._announce(ring, push)

    def knows_of(self, identifier: str, position: int) -> None:
        """There is a push at `position`."""
        if position > self.pushed:
            self.pushed, self.pushed_to = position, identifier
        self.seen = max(self.seen, position)

    def mark(self, position: int) -> None:
        """Everything up to `position` has been heard."""
        self.marked = max(self.marked, position)
        self.heard = max(self.heard, position)
        self.seen = max(self.seen, position)

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
        self.shelf.drop(now - KEPT, self.account.keep_bytes)

    def take_read(self, ask: Ask, names: Iterable[str], answer: list[Any]) -> None:
        """A part of what was asked for has been read."""
        ask.position = int(answer[0])
        for name, (floor, secret_floor, entries) in zip(names, answer[2:], strict=True):
            ask.floors[name] = int(floor), int(secret_floor)
            ask.entries[name] = [_push(name, *entry.split(b" ", 3)) for entry in entries]

    def settle(self, ask: Ask) -> None:
        """All was read, and everything up to the ask's last mark was heard: the rings have it now."""
        for name, entries in ask.entries.items():
            if name in self.rings:
                self._deepen(ask, name, entries)
            else:
                self._start(ask, name, entries)
        self.drop(ask.position)

    def _start(self, ask: Ask, name: str, entries: list[Push]) -> None:
        heard = {push.position: push for push in (*entries, *self.starting.pop(name, ()))}
        began = self.began or 0
        floor, secret_floor = ask.floors[name]
        channel = (self.account.api_key, name)
        ring = RingBuffer(channel, max(floor, began), max(secret_floor, began), ask.since[name])
        self.rings[name] = ring
        for position in sorted(heard):
            self.shelf.put(ring, heard[position], self.account)
        self.last[name] = ask.position

    def _deepen(self, ask: Ask, name: str, entries: list[Push]) -> None:
        ring = self.rings[name]
        older = [push for push in entries if push.position <= ring.since]
        self.shelf.prepend(ring, older, ask.since[name], ask.floors[name])

    def go_on(self, ask: Ask, heard: Iterable[Push]) -> None:
        """After a loss of touch: take what was read and what was `heard` since, all rings in one order."""
        self.went_back = False
        before = self.heard
        for name, (floor, secret_floor) in ask.floors.items():
            if max(floor, secret_floor) > before:  # it was dropped there before it could be read
                ring = self.rings[name]
                ring.floor = floor if floor > before else ring.floor
                ring.secret_floor = secret_floor if secret_floor > before else ring.secret_floor
                ring.began = max(ring.began, floor, secret_floor)  # which were dropped is known to nobody here
                self._lost(ring)
        read = [push for entries in ask.entries.values() for push in entries]
        missed = {push.position: push for push in (*read, *heard) if push.position > before}
        for position in sorted(missed):
            self.take(missed[position])
        for name in ask.entries:
            self.last[name] = ask.position

    def forget(self, name: str) -> None:
        """Nobody follows the identifier any more."""
        self.shelf.remove(self.rings[name])
        del self.last[name]


def _push(identifier: str, position: bytes, secret: bytes, push_id: bytes, head: bytes) -> Push:
    number = None if push_id == b"-" else int(push_id)
    return Push(identifier, number, secret == b"1", int(position), b"%b%b}" % (head, position))
