"""The ring buffer of one channel: its kept pushes, the public ones and the secret ones apart.

A listener without a right to secret pushes must not notice them. Its frames, its gaps, its limits and the time of its join
must not tell of them. So the two kinds share nothing here. Each has its own `KeptPushes`, with
its own limits, floor and memory of drops, and a listener without the right is served from the public ones alone.

A listener with the right gets both kinds in one order. They are merged by position when they are read.
"""

from collections.abc import Iterator
from heapq import merge
from operator import attrgetter

from cometify.core.kept_pushes import Dropped, KeptPushes, NothingKept
from cometify.core.push import Push

Channel = tuple[str, str]
"""The key of a channel: (API key, identifier in lower case)."""

POSITION = attrgetter("position")


class RingBuffer:
    """The pushes kept of one channel. `public` and `secret`: those of each kind.

    Either of them can be a `NothingKept` until `own` is called.
    """

    __slots__ = ("channel", "public", "secret")

    def __init__(self, channel: Channel, public: KeptPushes, secret: KeptPushes) -> None:
        self.channel = channel
        self.public = public
        self.secret = secret

    @classmethod
    def beginning_at(cls, channel: Channel, position: int) -> "RingBuffer":
        """A ring without pushes, of a memory that begins at `position`."""
        return cls(channel, KeptPushes(Dropped(position)), KeptPushes(Dropped(position)))

    def __lt__(self, other: "RingBuffer") -> bool:
        """Return an order in which a heap can have two rings at the same position. It means nothing else."""
        return self.channel < other.channel

    def __len__(self) -> int:
        return len(self.public) + len(self.secret)

    @property
    def kept_bytes(self) -> int:
        """The bytes of all frames."""
        return self.public.kept_bytes + self.secret.kept_bytes

    def of(self, secret: bool) -> KeptPushes:
        """The kept pushes of one kind."""
        return self.secret if secret else self.public

    def own(self, secret: bool) -> KeptPushes:
        """The kept pushes of one kind, to be changed, or to be held by somebody who must see later changes."""
        kept = self.of(secret)
        if not isinstance(kept, NothingKept):
            return kept
        own = KeptPushes(kept.dropped, kept.since, kept.began)
        if secret:
            self.secret = own
        else:
            self.public = own
        return own

    def visible(self, secret: bool) -> tuple[KeptPushes, ...]:
        """The kinds that a listener may see. `secret`: secret ones too."""
        return (self.public, self.secret) if secret else (self.public,)

    def let_go(self) -> None:
        """Forget the pushes, because nobody follows the channel any longer. Something may still refer to the ring itself."""
        self.public, self.secret = [
            NothingKept(kept.dropped, kept.since, kept.began) for kept in (self.public, self.secret)
        ]

    def lose(self, began: int) -> None:
        """Declare that every push up to `began` may be lost, because the memory elsewhere begins there again."""
        self.public.lose(began)
        self.secret.lose(began)

    def newest(self, secret: bool) -> int:
        """The head: the position of the last push that may be seen (`secret`: secret ones too).

        It is never below a loss, nor below `since`. A head below them would make a listener that joins there be told of a
        loss that it has not had.
        """
        return max(self.public.newest, self.secret.newest) if secret else self.public.newest

    def lost_since(self, secret: bool) -> int:
        """The lowest cursor that has lost nothing. `secret`: for a listener that may see secret pushes."""
        return max(self.public.floor, self.secret.floor) if secret else self.public.floor

    def after(self, cursor: int) -> Iterator[Push]:
        """All pushes kept above `cursor`, oldest first. Take them before the ring changes."""
        return merge(self.public.after(cursor), self.secret.after(cursor), key=POSITION)

    def latest(self) -> Iterator[Push]:
        """All pushes kept, newest first. Take them before the ring changes."""
        return merge(self.public.latest(), self.secret.latest(), key=POSITION, reverse=True)

    def bytes_after(self, cursor: int, secret: bool) -> int:
        """The bytes of the frames above `cursor` that may be seen: the most that a listener there would be sent."""
        size = self.public.bytes_after(cursor)
        return size + self.secret.bytes_after(cursor) if secret else size

    def count_after(self, cursor: int, secret: bool) -> int:
        """The number of the pushes above `cursor` that may be seen."""
        return sum([kept.count_after(cursor) for kept in self.visible(secret)])

    def highest_push_id(self, after: int, through: int, secret: bool) -> int:
        """The highest push_id that is kept above `after` and up to and with `through`, or -1.

        `secret`: among secret pushes too.
        """
        return max([kept.highest_push_id(after, through) for kept in self.visible(secret)])
