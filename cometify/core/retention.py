"""The rings of one account in this process, bounded together: in age, and in bytes over all of them."""

from heapq import heappop, heappush, heapreplace
from itertools import count

from cometify.core.account import Account
from cometify.core.push import Push
from cometify.core.ring import RingBuffer


class AccountRings:
    """`rings`: by identifier (lower case). `kept_bytes`: of the frames in all rings.

    The oldest push over all rings is found by a heap that has each ring once, at the position of its oldest push or
    below: a ring moves up only when it is looked at, so that a push costs one comparison.
    """

    def __init__(self) -> None:
        self.rings: dict[str, RingBuffer] = {}
        self.kept_bytes = 0
        self._oldest: list[tuple[int, int, RingBuffer]] = []
        self._numbers = count()  # so that no two rings are compared

    def put(self, ring: RingBuffer, push: Push, account: Account) -> None:
        """Keep a push, which is above all others of its ring, within the ring's bounds."""
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

    def drop(self, oldest: int, most_bytes: int) -> list[RingBuffer]:
        """Drop what is as old as the position `oldest`, and the oldest while there are more than `most_bytes`.

        Returns the rings that nothing is left of.
        """
        heap = self._oldest
        emptied = []
        while heap and (heap[0][0] <= oldest or self.kept_bytes > most_bytes):
            position, number, ring = heap[0]
            if ring.queued != position:
                heappop(heap)  # it was prepended to, and stands there by an older push
                continue
            if ring.oldest == position:
                self.kept_bytes -= ring.drop_oldest()
            following = ring.oldest
            if following is None:
                ring.queued = -1
                heappop(heap)
                emptied.append(ring)
            else:
                ring.queued = following
                heapreplace(heap, (following, number, ring))
        return emptied

    def remove(self, ring: RingBuffer) -> None:
        """Forget a ring, with what it has."""
        del self.rings[ring.channel[1]]
        self.kept_bytes -= ring.kept_bytes
        ring.queued = -2
