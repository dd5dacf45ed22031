"""Bounds the memory of all long bodies together, until each is whole, or answered if it is a batch.

A batch may have 8 MiB, and its sender is known only when it is whole. So one address with 2,000 connections could have 16 GiB
kept for it. Ten connections that send all but the last byte could have 80 MiB, for ever.

Below `MOST_TOGETHER` every body is read as it comes. With more, bodies are read by turns:

- A body of which nothing has come for `STALLS` seconds is cut, because an honest one goes on. The one that is longest without
  bytes goes first, and only as many go as are needed.
- If that is not enough, bodies wait: their connections are not read from, and their time stands still. The body that began
  first is always read, so that one of them is whole in the end. The total can exceed the bound by the rest of this one body.
- A body that waits is read again once there is room for its rest. The body with the shortest rest goes first, so that somebody
  who asks for little memory does not wait for those who ask for much.
- The body of a long batch is whole long before its pushes have gone to the engine. It counts until the batch is answered, and
  is not cut. Meanwhile the body that began first waits too if there is no room for it.
- While bodies wait, the others must come fast: at least `LEAST_SHARE` of a body's bytes so far in each second. Otherwise it is
  cut, and so is one that stalls. Memory that is held back from others so costs its holder bytes.

A back end that sends many batches at once loses none of them: the later ones wait for the earlier ones.

Time is counted in ticks of this process, and not read from a clock. If the process stands still for a while, as on a paused
machine, the bytes of all bodies wait in the kernel. A clock would say that all have stalled.
"""

from bisect import bisect_left, insort
from typing import Protocol

from cometify.runtime.reactor import CallLater

LONG = 64 * 1024
"""Bytes of a body above which it counts. Shorter ones are bounded by the number of connections."""
LONGEST = 8 * 2**20
"""Bytes of the longest body. One in chunks is expected to have so many, because it does not tell."""
MOST_TOGETHER = 24 * 2**20
"""Bytes of all long bodies, above which they are read by turns. With the rest of the body that began first it is 32 MiB."""
STALLS = 1.0
"""Seconds without a byte after which a body is cut if its room is needed."""
TICK = 0.25
"""Seconds between two ticks. With each one the bodies that are read while others wait are looked at."""
JUDGED_BY = 2.0
"""Seconds by which the speed of a body is judged, at least. After a wait its sender needs a moment to go on."""
LEAST_SHARE = 1 / 8
"""The part of its bytes that a body must bring in a second while others wait. 8 MiB so need 1 MiB a second at their end."""


class HasBody(Protocol):
    """A connection on which a body comes."""

    def drop_body(self) -> None:
        """Cut the connection: its body takes too long while others need its room."""

    def hold_body(self) -> None:
        """Read nothing from the connection, and give it time."""

    def go_on_with_body(self) -> None:
        """Read from the connection again."""


class _LongBody:
    """A long body: the bytes that have come and those that are missing, and the speed at which it comes."""

    __slots__ = ("_at", "_share", "_since", "_since_size", "connection", "missing", "place", "size")

    def __init__(self, connection: HasBody, now: float) -> None:
        self.connection = connection
        self.size = 0
        self.missing = 0
        self.place: tuple[int, int] | None = None  # among those that wait, None while it is read
        self.begin_to_count(now)

    def begin_to_count(self, now: float) -> None:
        """Judge its speed by what comes from now on."""
        self._at = self._since = now
        self._since_size = self.size
        self._share = 1.0  # of the bytes so far that came in each second, at the last time that it was known

    def grow(self, size: int, missing: int | None, now: float) -> None:
        self.size += size
        self.missing = max(0, LONGEST - self.size) if missing is None else missing
        if now - self._since >= JUDGED_BY:
            self._share = self._share_of(now)
            self._since, self._since_size = now, self.size
        self._at = now

    def silence(self, now: float) -> float:
        """The seconds since its last bytes came."""
        return now - self._at

    def share(self, now: float) -> float:
        """The part of its bytes that came in a second. None came if it has stalled."""
        return 0.0 if self.silence(now) >= STALLS else self._share_of(now)

    def _share_of(self, now: float) -> float:
        seconds = now - self._since
        return self._share if seconds < JUDGED_BY else (self.size - self._since_size) / self.size / seconds


class LongBodies:
    """The bodies that are being received. `most`: bytes of all long ones together, above which they are read by turns."""

    def __init__(self, call_later: CallLater, most: int = MOST_TOGETHER) -> None:
        self._now = 0.0  # the seconds of all ticks, which go on while there are long bodies
        self._ticks = False
        self._call_later = call_later
        self._most = most
        self._short: dict[HasBody, int] = {}
        self._long: dict[HasBody, _LongBody] = {}  # in the order in which they became long
        self._kept: dict[HasBody, int] = {}  # whole bodies whose content is kept
        self._together = 0
        self._expected = 0  # bytes that are missing of those that are read
        # Those that wait: their missing bytes, and a number that tells equal ones apart. In this order.
        self._places: list[tuple[int, int]] = []
        self._waiting: dict[tuple[int, int], _LongBody] = {}
        self._number = 0

    def grow(self, connection: HasBody, size: int, missing: int | None) -> None:
        """Add `size` bytes to the body of a connection. `missing`: the bytes that are still to come, None if unknown."""
        body = self._long.get(connection)
        if body is not None:
            self._add(body, size, missing)
            if self._together > self._most and not self._waiting:
                self._begin_turns()
            return
        size += self._short.pop(connection, 0)
        if size <= LONG:
            self._short[connection] = size
            return
        body = self._long[connection] = _LongBody(connection, self._now)
        self._go_on_ticking()
        self._add(body, size, missing)
        if not self._waiting:
            if self._together > self._most:
                self._begin_turns()
        elif self._room() < 0:
            self._hold(body)

    def keep(self, connection: HasBody, size: int) -> None:
        """Count the body of a connection until `end`, although its last `size` bytes are here: its content is kept."""
        size += self._short.get(connection, 0) + self._leave(connection)
        if size > LONG:
            self._kept[connection] = size
            self._together += size
            if self._waiting:
                self._go_on()

    def end(self, connection: HasBody) -> None:
        """Forget the body of a connection: it is answered or refused, or the connection is lost."""
        size = self._leave(connection)
        if size and self._waiting:
            self._go_on()

    def _leave(self, connection: HasBody) -> int:
        """Count a body no longer. Returns its bytes, 0 if it is not a long one."""
        self._short.pop(connection, None)
        size = self._kept.pop(connection, 0)
        body = self._long.pop(connection, None)
        if body is not None:
            size = body.size
            if body.place is None:
                self._expected -= body.missing
            else:
                self._leave_place(body)
        self._together -= size
        return size

    def _add(self, body: _LongBody, size: int, missing: int | None) -> None:
        before = body.missing
        body.grow(size, missing, self._now)
        self._together += size
        if body.place is None:
            self._expected += body.missing - before

    def _begin_turns(self) -> None:
        """Make room: cut the bodies that have stalled, as many as needed. If that is not enough, read one at most."""
        now = self._now
        stalled = [body for body in self._long.values() if body.silence(now) >= STALLS]
        for body in sorted(stalled, key=lambda body: body.silence(now), reverse=True):
            self._cut(body)
            if self._together <= self._most:
                return
        bodies = list(self._long.values())
        if not self._kept:
            bodies.pop(0).begin_to_count(now)
        for body in bodies:
            self._hold(body)

    def _hold(self, body: _LongBody) -> None:
        self._number += 1
        body.place = body.missing, self._number
        insort(self._places, body.place)
        self._waiting[body.place] = body
        self._expected -= body.missing
        body.connection.hold_body()

    def _leave_place(self, body: _LongBody) -> None:
        assert body.place is not None
        del self._places[bisect_left(self._places, body.place)]
        del self._waiting[body.place]
        body.place = None

    def _go_on(self) -> None:
        """Read those that wait for whose rest there is room now, and the oldest body unless a kept one will make room."""
        oldest = next(iter(self._long.values()))
        if oldest.place is not None and not self._kept:
            self._read(oldest)
        while self._places and self._places[0][0] <= self._room():
            self._read(self._waiting[self._places[0]])

    def _room(self) -> int:
        """The bytes that are free once all that are read are whole, but for the oldest, which is read in any case."""
        oldest = next(iter(self._long.values()))
        expected = self._expected - oldest.missing if oldest.place is None else self._expected
        return self._most - self._together - expected

    def _read(self, body: _LongBody) -> None:
        self._leave_place(body)
        self._expected += body.missing
        body.begin_to_count(self._now)
        body.connection.go_on_with_body()

    def _go_on_ticking(self) -> None:
        if self._long and not self._ticks:
            self._ticks = True
            self._call_later(TICK, self._tick)

    def _tick(self) -> None:
        self._ticks = False
        self._now += TICK
        if self._waiting:
            self._judge()
        self._go_on_ticking()

    def _judge(self) -> None:
        """Cut the bodies that come too slowly while others wait, the slowest ones first."""
        now = self._now
        read = [body for body in self._long.values() if body.place is None and body.share(now) < LEAST_SHARE]
        for body in sorted(read, key=lambda body: body.share(now)):
            if self._waiting:
                self._cut(body)

    def _cut(self, body: _LongBody) -> None:
        self.end(body.connection)
        body.connection.drop_body()
