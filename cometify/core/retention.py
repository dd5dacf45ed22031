"""The rings of one account in this process, bounded together: in age, and in bytes over all of them.

Any number of pushes can become due at once, because a burst grows old within one second, ten minutes after it came.
Dropping the whole burst in one step would hold up everything else. So `drop` does a bounded number of steps and leaves
the rest to the next call. Pushes that are due and not dropped yet cause no wrong frame. No replay sends them, because each
replay begins at a later position. No gap is told for them, because their floor has not been raised.
"""

from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from itertools import count

from cometify.core.account import Account
from cometify.core.push import Push
from cometify.core.ring import RingBuffer

MOST_STEPS = 500
"""The most steps of one call of `drop`. A step drops a push, and takes half a microsecond."""

_NOT_QUEUED = -1
_REMOVED = -2


class AccountRings:
    """All rings of an account that this process has.

    `rings`: by identifier (lower case). `kept_bytes`: the bytes of the frames in all rings. `emptied`: called with a ring
    when `drop` has dropped its last push, or when a push was put there that is too large to be kept.

    The oldest push over all rings is found by a heap that has each ring once, at the position of its oldest push or
    below. A ring whose oldest push has changed is moved up only when it comes to the top, so that a push costs one
    comparison.
    """

    def __init__(self, emptied: Callable[[RingBuffer], None] | None = None) -> None:
        self.rings: dict[str, RingBuffer] = {}
        self.kept_bytes = 0
        self._emptied = emptied
        self._oldest: list[tuple[int, int, RingBuffer]] = []
        # The second item of an entry: two rings can be at the same position, and rings cannot be compared.
        self._numbers = count()

    def put(self, ring: RingBuffer, push: Push, account: Account) -> None:
        """Keep a push within the ring's bounds. Its position must be above all others of the ring."""
        self.kept_bytes += ring.append(push, account.buffer_pushes, account.buffer_bytes)
        if ring.queued < 0:
            self._queue(ring)

    def prepend(self, ring: RingBuffer, older: list[Push], since: int, floors: tuple[int, int]) -> None:
        """See `RingBuffer.prepend`. `floors`: public, secret."""
        self.kept_bytes += ring.prepend(older, since, *floors)
        if older:
            self._queue(ring)

    def _queue(self, ring: RingBuffer) -> None:
        oldest = ring.oldest
        if oldest is not None:
            ring.queued = oldest
            heappush(self._oldest, (oldest, next(self._numbers), ring))
        elif self._emptied is not None:
            # Its first push is larger than all that a ring may keep.
            self._emptied(ring)

    def is_due(self, oldest: int, most_bytes: float) -> bool:
        """True if `drop` with the same bounds has something to do."""
        heap = self._oldest
        return bool(heap) and (heap[0][0] <= oldest or self.kept_bytes > most_bytes)

    def drop(self, oldest: int, most_bytes: float, most: int = MOST_STEPS) -> int:
        """Drop the pushes up to the position `oldest`, and the oldest pushes while there are more than `most_bytes`.

        Does at most `most` steps and returns their number. If the number is `most`, more pushes may be due. A step drops a
        push or moves a ring in the heap.
        """
        heap = self._oldest
        left = most
        while left > 0 and heap and (heap[0][0] <= oldest or self.kept_bytes > most_bytes):
            position, number, ring = heap[0]
            left -= 1
            if ring.queued != position:
                # The ring was removed, or it has an entry for older pushes that were prepended.
                heappop(heap)
                continue
            if ring.oldest == position:
                before = ring.kept_bytes
                # By age, all due pushes of this ring are dropped at once. By bytes, only the oldest push of all rings is.
                left -= ring.drop_through(max(position, oldest), left + 1) - 1
                self.kept_bytes += ring.kept_bytes - before
            following = ring.oldest
            if following is None:
                ring.queued = _NOT_QUEUED
                heappop(heap)
                if self._emptied is not None:
                    self._emptied(ring)
            else:
                ring.queued = following
                heapreplace(heap, (following, number, ring))
        return most - left

    def remove(self, ring: RingBuffer) -> None:
        """Forget a ring, with all that it has."""
        del self.rings[ring.channel[1]]
        self.kept_bytes -= ring.kept_bytes
        ring.queued = _REMOVED
