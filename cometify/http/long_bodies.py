"""Bounds the memory of all long bodies together, until each is whole, or answered if it is a batch.

A batch may have 8 MiB, and its sender is known only when it is whole. So one address with 2,000 connections could have 16 GiB
kept for it. Ten connections that send all but the last byte could have 80 MiB, for ever.

A body that becomes long needs room for all of its bytes, those that are still to come included. It is read on once it has that
room. Until then its connection is not read from, and its time stands still. So a body that waits keeps little, and whoever
wants to use up the room must send bytes for it:

- While others wait, a body that has room must bring `LEAST_SHARE` of its whole length in each second. Otherwise it is cut, and
  its room is free. Below the bound nobody is judged, but for the least speed of all bodies (`idle_timeout`).
- Bodies of up to `SMALL` have a room of their own, because those who send little must not wait for those who send much.
- Addresses have turns. The next body is one of the address that has waited longest for a turn, so whoever sends from many
  connections delays others by one body, and not by all.
- The body of a long batch is whole long before its pushes have gone to the engine. It keeps its room until the batch is
  answered, and is not cut.

A stranger who holds back bodies from `n` addresses can so delay a large body by `n / 3 * 1.25` s, and a small one by less. One
who sends `LEAST_SHARE` from each of them can delay it by `n / 3 * 8` s.

Time is counted in ticks of this process, and not read from a clock. If the process stands still for a while, as on a paused
machine, the bytes of all bodies wait in the kernel. A clock would say that all have stalled.
"""

from collections import OrderedDict, deque
from typing import Protocol

from cometify.runtime.reactor import CallLater

LONG = 64 * 1024
"""Bytes of a body above which it needs room. Shorter ones are bounded by the number of connections."""
LONGEST = 8 * 2**20
"""Bytes of the longest body. One in chunks needs as many, because it does not tell its length."""
SMALL = 2**20
"""Bytes of the longest body for which there is a room of its own."""
MOST_SMALL = 8 * 2**20
"""Bytes of the room of small bodies."""
MOST_LARGE = 24 * 2**20
"""Bytes of the room of large bodies: three of the longest."""
TICK = 0.25
"""Seconds between two ticks. With each one the bodies that have room while others wait are looked at."""
JUDGED_BY = 1.0
"""Seconds by which the speed of a body is judged, at least. After a wait its sender needs a moment to go on."""
LEAST_SHARE = 1 / 8
"""The part of its length that a body must bring in a second while others wait. 8 MiB so need 1 MiB a second."""


class HasBody(Protocol):
    """A connection on which a body comes."""

    @property
    def body_address(self) -> str:
        """The address that has turns: the peer's."""

    def drop_body(self) -> None:
        """Cut the connection: its body takes too long while others need its room."""

    def hold_body(self) -> None:
        """Read nothing from the connection, and give it time."""

    def go_on_with_body(self) -> None:
        """Read from the connection again."""


class _LongBody:
    """A long body. `length`: the bytes for which it needs room. `size`: those that have come."""

    __slots__ = ("_since", "_since_size", "address", "connection", "is_kept", "length", "size", "waits")

    def __init__(self, connection: HasBody, size: int, length: int) -> None:
        self.connection = connection
        self.address = connection.body_address
        self.size = size
        self.length = length
        self.waits = False
        self.is_kept = False
        self._since, self._since_size = 0.0, size

    def begin_to_count(self, now: float) -> None:
        """Judge its speed by what comes from now on."""
        self._since, self._since_size = now, self.size

    def is_too_slow(self, now: float) -> bool:
        """Return whether too little has come since it was judged the last time."""
        seconds = now - self._since
        if self.is_kept or seconds < JUDGED_BY:
            return False
        came = self.size - self._since_size
        self.begin_to_count(now)
        return came < LEAST_SHARE * self.length * seconds


class _Room:
    """Room for so many bytes, and the bodies that wait for it. One body has room in any case, however long it is."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._bodies: dict[_LongBody, None] = {}
        # Those that wait, by their addresses. The address whose turn is next is the first.
        self._waiting: OrderedDict[str, deque[_LongBody]] = OrderedDict()

    def ask(self, body: _LongBody, now: float) -> None:
        """Give a body room, or let it wait."""
        if not self._waiting and self._has_room_for(body):
            self.take(body)
            return
        if not self._waiting:
            for other in self._bodies:
                other.begin_to_count(now)
        self._waiting.setdefault(body.address, deque()).append(body)
        body.waits = True
        body.connection.hold_body()

    def take(self, body: _LongBody) -> None:
        """Give a body room, whether or not there is any."""
        self._bodies[body] = None
        self._taken += body.length

    def leave(self, body: _LongBody, now: float) -> None:
        """Take the room of a body, or its turn, and let others go on."""
        if body.waits:
            self.stop_waiting(body)
        else:
            del self._bodies[body]
            self._taken -= body.length
        self._go_on(now)

    def stop_waiting(self, body: _LongBody) -> None:
        """Forget that a body waits."""
        body.waits = False
        of_address = self._waiting[body.address]
        of_address.remove(body)
        if not of_address:
            del self._waiting[body.address]

    @property
    def is_full(self) -> bool:
        """True if bodies wait."""
        return bool(self._waiting)

    def slow(self, now: float) -> list[_LongBody]:
        """Return the bodies that come too slowly, if others wait."""
        return [body for body in self._bodies if body.is_too_slow(now)] if self._waiting else []

    def _has_room_for(self, body: _LongBody) -> bool:
        return not self._bodies or self._taken + body.length <= self._most

    def _go_on(self, now: float) -> None:
        while self._waiting:
            address, of_address = next(iter(self._waiting.items()))
            body = of_address[0]
            if not self._has_room_for(body):
                return
            self.stop_waiting(body)
            if of_address:
                self._waiting.move_to_end(address)
            self.take(body)
            body.begin_to_count(now)
            body.connection.go_on_with_body()


class LongBodies:
    """The bodies that are being received. `small`, `large`: the bytes of both rooms."""

    def __init__(self, call_later: CallLater, small: int = MOST_SMALL, large: int = MOST_LARGE) -> None:
        self._call_later = call_later
        self._small, self._large = _Room(small), _Room(large)
        self._short: dict[HasBody, int] = {}
        self._long: dict[HasBody, _LongBody] = {}
        self._now = 0.0
        self._ticks = False

    def grow(self, connection: HasBody, size: int, missing: int | None) -> None:
        """Add `size` bytes to the body of a connection. `missing`: the bytes that are still to come, None if unknown."""
        body = self._long.get(connection)
        if body is not None:
            body.size += size
            return
        size += self._short.pop(connection, 0)
        if size <= LONG:
            self._short[connection] = size
            return
        body = self._long[connection] = _LongBody(connection, size, LONGEST if missing is None else size + missing)
        self._room_of(body).ask(body, self._now)
        self._go_on_ticking()

    def keep(self, connection: HasBody, size: int) -> None:
        """Keep the room of a body until `end`, although its last `size` bytes are here: its content is kept."""
        size += self._short.pop(connection, 0)
        body = self._long.get(connection)
        if body is None:
            if size <= LONG:
                return
            body = self._long[connection] = _LongBody(connection, size, size)
            self._room_of(body).take(body)
        elif body.waits:  # its last bytes had been received before it was held
            self._room_of(body).stop_waiting(body)
            self._room_of(body).take(body)
        body.is_kept = True

    def end(self, connection: HasBody) -> None:
        """Forget the body of a connection: it is answered or refused, or the connection is lost."""
        self._short.pop(connection, None)
        body = self._long.pop(connection, None)
        if body is not None:
            self._room_of(body).leave(body, self._now)

    def _room_of(self, body: _LongBody) -> _Room:
        return self._small if body.length <= SMALL else self._large

    def _go_on_ticking(self) -> None:
        if self._long and not self._ticks:
            self._ticks = True
            self._call_later(TICK, self._tick)

    def _tick(self) -> None:
        self._ticks = False
        self._now += TICK
        for room in (self._small, self._large):
            for body in room.slow(self._now):
                if room.is_full:
                    self.end(body.connection)
                    body.connection.drop_body()
        self._go_on_ticking()
