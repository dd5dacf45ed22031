"""The rings of one account in this process, bounded together: in age, and in bytes over all of them.

Public and secret pushes are bounded apart, each kind by limits of its own. A listener without a right to secret pushes
would otherwise notice them, because they would drive public pushes out (see `cometify.core.ring`). So an account can keep
twice its `keep_bytes`, once of each kind.

Any number of pushes can become due at once, because a burst grows old within one second, ten minutes after it came.
Dropping the whole burst in one step would hold up everything else. So `drop` does a bounded number of steps and leaves
the rest to the next call. Pushes that are due and not dropped yet cause no wrong frame. No replay sends them, because each
replay begins at a later position. No gap is told for them, because their floor has not been raised.
"""

from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from math import inf

from cometify.core.account import Account
from cometify.core.kept_pushes import KeptPushes
from cometify.core.name_index import NameIndex
from cometify.core.push import Push
from cometify.core.ring import RingBuffer

MOST_STEPS = 500
"""The most steps of one call of `drop`. A step drops a push, and takes half a microsecond."""

_NOT_QUEUED = -1
_REMOVED = -2


class Retention:
    """The bounds over all kept pushes of one kind of an account.

    `is_secret`: the kind. `kept_bytes`: the bytes of all frames. `excess_of`: more bytes than this may be kept until
    `expire` has dropped the excess; inf when it has. `counted`: see `TotalBytes`. `emptied`: called with a ring when `drop`
    has dropped its last push of this kind, or when a push was put there that is too large to be kept.

    The oldest push over all rings is found by a heap that has each `KeptPushes` once, at the position of its oldest push or
    below. One whose oldest push has changed is moved up only when it comes to the top, so that a push costs one comparison.
    """

    def __init__(self, is_secret: bool, emptied: Callable[[RingBuffer], None] | None = None) -> None:
        self.is_secret = is_secret
        self.kept_bytes = 0
        self.excess_of: float = inf
        self.counted = 0
        self._emptied = emptied
        self._oldest: list[tuple[int, RingBuffer]] = []

    def put(self, ring: RingBuffer, kept: KeptPushes, push: Push, account: Account) -> None:
        """Keep a push in `kept`, which is one kind of `ring`, within the bounds of one identifier.

        Its position must be above all others of `kept`.
        """
        self.kept_bytes += kept.append(push, account.buffer_pushes, account.buffer_bytes)
        if kept.queued < 0:
            self._queue(ring, kept)

    def prepend(self, ring: RingBuffer, kept: KeptPushes, older: list[Push], since: int, floor: int) -> None:
        """See `KeptPushes.prepend`."""
        self.kept_bytes += kept.prepend(older, since, floor)
        if older:
            self._queue(ring, kept)

    def _queue(self, ring: RingBuffer, kept: KeptPushes) -> None:
        oldest = kept.oldest
        if oldest is not None:
            kept.queued = oldest
            heappush(self._oldest, (oldest, ring))
        elif self._emptied is not None:
            # Its first push is larger than all that may be kept.
            self._emptied(ring)

    def count(self) -> int:
        """Count the kept pushes. Looks at each ring that has some, and at no other."""
        kinds = {ring.of(self.is_secret) for _position, ring in self._oldest}
        return sum([len(kept) for kept in kinds if kept.queued >= 0])  # a ring that was removed is still in the heap

    def is_due(self, oldest: int, most_bytes: float) -> bool:
        """True if `drop` with the same bounds has something to do."""
        heap = self._oldest
        return bool(heap) and (heap[0][0] <= oldest or self.kept_bytes > most_bytes)

    def drop(self, oldest: int, most_bytes: float, most: int = MOST_STEPS) -> int:
        """Drop the pushes up to the position `oldest`, and the oldest pushes while there are more than `most_bytes`.

        Does at most `most` steps and returns their number. If the number is `most`, more pushes may be due. A step drops a
        push or moves an entry in the heap.
        """
        heap = self._oldest
        left = most
        while left > 0 and heap and (heap[0][0] <= oldest or self.kept_bytes > most_bytes):
            position, ring = heap[0]
            kept = ring.of(self.is_secret)
            left -= 1
            if kept.queued != position:
                # The ring was removed, or it has an entry for older pushes that were prepended.
                heappop(heap)
                continue
            if kept.oldest == position:
                before = kept.kept_bytes
                # By age, all due pushes of this ring are dropped at once. By bytes, only the oldest push of all rings is.
                left -= kept.drop_through(max(position, oldest), left + 1) - 1
                self.kept_bytes += kept.kept_bytes - before
            following = kept.oldest
            if following is None:
                kept.queued = _NOT_QUEUED
                heappop(heap)
                if self._emptied is not None:
                    self._emptied(ring)
            else:
                kept.queued = following
                heapreplace(heap, (following, ring))
        return most - left

    def expire(self, oldest: int, most: int) -> int:
        """Drop what is due by age, and the excess that a push could not drop in its own step. See `drop`."""
        steps = self.drop(oldest, self.excess_of, most)
        if steps < most:
            self.excess_of = inf
        return steps

    def remove(self, kept: KeptPushes) -> None:
        """Forget the pushes of a ring that is removed."""
        self.kept_bytes -= kept.kept_bytes
        if kept.queued >= 0:
            kept.queued = _REMOVED


class AccountRings:
    """All rings of an account that this process has.

    `rings`: by identifier (lower case). `names`: the order of these identifiers. `public` and `secret`: the bounds over the
    pushes of each kind. `emptied`: see `Retention`.
    """

    def __init__(self, emptied: Callable[[RingBuffer], None] | None = None) -> None:
        self.rings: dict[str, RingBuffer] = {}
        self.names = NameIndex(self.rings)
        self.public = Retention(False, emptied)
        self.secret = Retention(True, emptied)

    def add(self, ring: RingBuffer) -> RingBuffer:
        """Add a ring of an identifier that has none. Returns the ring."""
        name = ring.channel[1]
        self.rings[name] = ring
        if self.names.order is not None:
            self.names.order.add(name)
        return ring

    @property
    def kept_bytes(self) -> int:
        """The bytes of the frames in all rings."""
        return self.public.kept_bytes + self.secret.kept_bytes

    def count(self) -> int:
        """Count the kept pushes. Strangers can follow any number of identifiers without a push. Those cost nothing here."""
        return self.public.count() + self.secret.count()

    def of(self, secret: bool) -> Retention:
        """The bounds of one kind."""
        return self.secret if secret else self.public

    def put(self, ring: RingBuffer, push: Push, account: Account) -> Retention:
        """Keep a push, which is above all others of its ring, within the ring's bounds. Returns the bounds of its kind."""
        bounds, kept = (self.secret, ring.secret) if push.secret else (self.public, ring.public)
        bounds.put(ring, kept if kept.queued >= 0 else ring.own(push.secret), push, account)
        return bounds

    def drop(self, oldest: int, most_bytes: float) -> None:
        """Drop what is due, of both kinds. See `Retention.drop`."""
        self.public.drop(oldest, most_bytes)
        self.secret.drop(oldest, most_bytes)

    def remove(self, ring: RingBuffer) -> None:
        """Forget a ring, with all that it has."""
        name = ring.channel[1]
        del self.rings[name]
        if self.names.order is not None:
            self.names.order.discard(name)
        self.public.remove(ring.public)
        self.secret.remove(ring.secret)
        # The heaps refer to the ring until its oldest push would have been due, ten minutes later at most. A node that follows
        # a channel and leaves it again and again would hold a copy of its pushes for each time.
        ring.let_go()
