"""What is kept of one identifier, in the order of positions."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from cometify.core.push import Push

Channel = tuple[str, str]
"""A channel is a key: (API key, identifier in lower case)."""


class Dropped(NamedTuple):
    """Which pushes of a channel were dropped, as far as it takes to tell who has lost one: the highest push_id among the
    public ones, the position of the last of them without a push_id, and the same of the secret ones.
    """

    number: int = -1
    plain: int = 0
    secret_number: int = -1
    secret_plain: int = 0


NOTHING = Dropped()


class RingBuffer:
    """The pushes kept of one channel, and how far back that goes.

    `floor` and `secret_floor` are the positions of the last public and the last secret push that was dropped, or where
    the memory begins. Two, because a gap told for a push that somebody may not see would betray it.

    `since`: from which position on the ring has all that is not below its floors. What is older may be kept elsewhere,
    and can be prepended. `queued` is the shelf's own.

    `began`: what was dropped up to there, nobody here has seen; above it `dropped` tells. By default that is where the floors
    are.
    """

    __slots__ = (
        "_positions", "_pushes", "_start", "began", "channel", "floor", "kept_bytes", "number", "plain", "queued",
        "secret_floor", "secret_number", "secret_plain", "since",
    )  # fmt: skip

    def __init__(
        self,
        channel: Channel,
        floor: int,
        secret_floor: int,
        since: int = 0,
        began: int | None = None,
        dropped: Dropped = NOTHING,
    ) -> None:
        self.channel = channel
        self.floor = floor
        self.secret_floor = secret_floor
        self.since = since
        self.began = max(floor, secret_floor) if began is None else began
        self.number, self.plain, self.secret_number, self.secret_plain = dropped
        self.queued = -1
        self.kept_bytes = 0
        self._positions: list[int] = []
        self._pushes: list[Push] = []
        self._start = 0  # what is before it was dropped: cutting the lists at each drop would cost their length

    def __len__(self) -> int:
        return len(self._pushes) - self._start

    def append(self, push: Push, most_pushes: int, most_bytes: int) -> int:
        """Keep a push, which must be above all others, and drop the oldest beyond the bounds.

        Returns by how many bytes the ring has grown (or shrunk).
        """
        before = self.kept_bytes
        self._positions.append(push.position)
        self._pushes.append(push)
        self.kept_bytes += len(push.frame)
        while len(self._pushes) - self._start > most_pushes or self.kept_bytes > most_bytes:
            self.drop_oldest()
        return self.kept_bytes - before

    def drop_oldest(self) -> int:
        """Drop the oldest push, which raises a floor. Returns how many bytes that freed."""
        push = self._pushes[self._start]
        self._start += 1
        self.kept_bytes -= len(push.frame)
        number = push.push_id
        if push.secret:
            self.secret_floor = max(self.secret_floor, push.position)
            if number is None:
                self.secret_plain = max(self.secret_plain, push.position)
            elif number > self.secret_number:
                self.secret_number = number
        else:
            self.floor = max(self.floor, push.position)
            if number is None:
                self.plain = max(self.plain, push.position)
            elif number > self.number:
                self.number = number
        if self._start > 64 and self._start * 2 > len(self._pushes):
            del self._positions[: self._start], self._pushes[: self._start]
            self._start = 0
        return len(push.frame)

    def prepend(self, older: Sequence[Push], since: int, floor: int, secret_floor: int) -> int:
        """Put before all others what is kept elsewhere between `since` and where the ring begins.

        `floor` and `secret_floor` are those of where it is kept, which may have dropped more than this ring has: what
        stands here is not lost. Returns by how many bytes the ring has grown.
        """
        floor, secret_floor = min(floor, self.since), min(secret_floor, self.since)
        self.floor = max(self.floor, floor)
        self.secret_floor = max(self.secret_floor, secret_floor)
        self.began = max(self.began, floor, secret_floor)
        self.since = min(self.since, since)
        self._pushes[: self._start] = older
        self._positions[: self._start] = [push.position for push in older]
        self._start = 0
        grown = sum([len(push.frame) for push in older])
        self.kept_bytes += grown
        return grown

    @property
    def dropped(self) -> Dropped:
        """What is known of what was dropped."""
        return Dropped(self.number, self.plain, self.secret_number, self.secret_plain)

    def lose(self, began: int) -> None:
        """Everything up to `began` may be lost: the memory elsewhere begins there anew."""
        self.began = max(self.began, began)
        self.floor = max(self.floor, began)
        self.secret_floor = max(self.secret_floor, began)

    @property
    def oldest(self) -> int | None:
        """The position of the oldest push kept."""
        return self._positions[self._start] if len(self) else None

    def newest(self, secret: bool) -> int:
        """The position of the last push kept, or up to where all may be lost or are not here; `secret`: a secret one too."""
        lost = self.lost_since(secret)
        for push in reversed(self._pushes):
            if secret or not push.secret:
                return max(push.position, lost)
        return max(self.since, lost)

    def lost_since(self, secret: bool) -> int:
        """Who has read up to here or further has missed nothing; `secret`: whether it may see secret pushes."""
        return max(self.floor, self.secret_floor) if secret else self.floor

    def after(self, cursor: int) -> Iterator[Push]:
        """The pushes kept above `cursor`, oldest first. Take them before the ring changes."""
        pushes = self._pushes
        for index in range(bisect_right(self._positions, cursor, self._start), len(pushes)):
            yield pushes[index]

    def latest(self) -> Iterator[Push]:
        """The pushes kept, newest first. Take them before the ring changes."""
        return islice(reversed(self._pushes), len(self))

    def until(self, cursor: int) -> Iterator[Push]:
        """The pushes kept up to and with `cursor`, oldest first. Take them before the ring changes."""
        for index in range(self._start, bisect_right(self._positions, cursor, self._start)):
            yield self._pushes[index]

    def bytes_after(self, cursor: int) -> int:
        """How many bytes of frames a listener at `cursor` would be sent at most."""
        if not len(self) or cursor >= self._positions[-1]:
            return 0
        if cursor < self._positions[self._start]:
            return self.kept_bytes
        return sum(len(push.frame) for push in self.after(cursor))
