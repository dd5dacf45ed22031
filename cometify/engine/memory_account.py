"""One account of the memory engine: see `cometify.engine.memory`."""

from cometify.core.floors import Floors
from cometify.core.identifier import Identifier
from cometify.core.kept_pushes import Dropped, KeptPushes, NothingKept
from cometify.core.leaky_bucket import LeakyBucket
from cometify.core.position import FLOOR_RETENTION, RETENTION, SECOND
from cometify.core.retention import AccountRings
from cometify.core.revocation import Revocations
from cometify.core.ring import RingBuffer
from cometify.core.ttl_map import TTLMap
from cometify.engine.accepted_requests import AcceptedRequests


class AccountState:
    """One account: the last position that was given or told, and all that is kept and remembered of it.

    `began`: the position where the memory of this process begins. `last`: no position up to it may be given again.
    """

    __slots__ = (
        "_nothing", "api_key", "began", "bucket", "floors", "followed", "last", "requests", "revocations", "rings",
        "signatures",
    )  # fmt: skip

    def __init__(self, api_key: str, began: int, last: int) -> None:
        self.api_key = api_key
        self.began = began
        self.last = last
        self.rings = AccountRings(self._emptied)
        self._nothing = NothingKept(Dropped(began), began=began)
        self.followed: set[str] = set()
        # Of public and of secret pushes.
        self.floors = (Floors(began), Floors(began))
        self.signatures: TTLMap[bytes, Identifier] = TTLMap()
        self.requests = AcceptedRequests()
        self.revocations = Revocations()
        self.bucket = LeakyBucket()

    def ring(self, identifier: str) -> RingBuffer:
        """The ring of an identifier (lower case). A new ring goes on from the floors of the one before."""
        ring = self.rings.rings.get(identifier)
        if ring is None:
            ring = self.rings.add(RingBuffer((self.api_key, identifier), self._nothing, self._nothing))
            public, secret = self.floors
            if (dropped := public.take(identifier)) is not None:
                ring.public = KeptPushes(dropped, began=self.began)
            if (dropped := secret.take(identifier)) is not None:
                ring.secret = KeptPushes(dropped, began=self.began)
        return ring

    def floor_of(self, identifier: str) -> int:
        """The position of the last push of an identifier that was dropped, of either kind, as far as is known."""
        ring = self.rings.rings.get(identifier)
        return max([floors.floor_of(identifier) for floors in self.floors]) if ring is None else ring.lost_since(True)

    def _emptied(self, ring: RingBuffer) -> None:
        if not ring and ring.channel[1] not in self.followed:
            self.forget_ring(ring)

    def forget_ring(self, ring: RingBuffer) -> None:
        """Forget an empty ring that nobody follows, except for its floors."""
        self.rings.remove(ring)
        for floors, kept in zip(self.floors, (ring.public, ring.secret), strict=True):
            floors.put(ring.channel[1], kept.dropped)

    def unfollow(self, identifier: str) -> None:
        """Keep the ring of an identifier only while there are pushes in it."""
        self.followed.discard(identifier)
        ring = self.rings.rings.get(identifier)
        if ring is not None and not ring:
            self.forget_ring(ring)

    def expire(self, now: int, most: int) -> int:
        """Forget old entries in at most `most` steps. Returns their number; if it is `most`, more may be due."""
        self.rings.names.expire(now)
        left = most - self.rings.public.expire(now - RETENTION, most)
        left -= self.rings.secret.expire(now - RETENTION, left)
        left -= self.signatures.forget(now, left)
        left -= self.requests.forget(now, left)
        left -= self.revocations.forget(now / SECOND, left)
        for floors in self.floors:
            left -= floors.expire(now - FLOOR_RETENTION, left)
        return most - left

    def is_empty(self, now: int) -> bool:
        """Return whether nothing is kept, remembered or followed."""
        remembered = self.signatures or self.requests or self.revocations
        if self.rings.rings or remembered or not self.bucket.is_empty(now):
            return False
        return all(floors.is_empty(now - FLOOR_RETENTION, self.began) for floors in self.floors)
