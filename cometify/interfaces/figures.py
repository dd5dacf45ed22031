"""The figures of an engine, and the state of its Redis, at one moment."""

from collections.abc import Mapping

import attrs

from cometify.core.histogram import Histogram
from cometify.core.identifier_page import Kept

NO_EVICTION = "noeviction"
"""The maxmemory-policy of a Redis that refuses writes when its memory is full, instead of dropping keys."""


@attrs.frozen
class EngineStats:
    """Figures of an engine at this moment."""

    kept: Mapping[str, Kept] | None
    """The pushes of each account that the engine keeps, by API key: in this process, or in Redis for all nodes. None: Redis has
    not told yet.
    """
    copies: Kept | None
    """The copies that this process has of pushes in Redis. None if there is no Redis."""
    followed: int
    """The number of channels that are followed."""
    latency: Histogram = attrs.field(factory=Histogram)
    """Seconds that Redis took to answer each command. Empty if there is no Redis."""

    @property
    def total(self) -> Kept | None:
        """The kept pushes of all accounts. None: see `kept`."""
        if self.kept is None:
            return None
        return Kept(sum(kept.pushes for kept in self.kept.values()), sum(kept.bytes for kept in self.kept.values()))


@attrs.frozen
class RedisHealth:
    """The state of one Redis at this moment, as a node sees it."""

    place: str
    """Its place, without a password."""
    is_up: bool
    """The session is ready."""
    losses: Mapping[str, int]
    """The sessions that were lost, by the reason: see `engine/redis/absence.py`."""
    replicas: int | None
    """The replicas that answered the last time, None if `redis_wait` is 0, or if none was asked yet."""
    wanted_replicas: int
    """`redis_wait`."""
    reason: str | None
    """The reason of its absence, in Redis's own words. None while it is up, and before the first attempt."""
    used_memory: int | None = None
    """The bytes that Redis uses, None if it does not tell."""
    max_memory: int = 0
    """The bytes that it may use, 0 if they are not bounded."""
    policy: str | None = None
    """Its maxmemory-policy, None if it does not tell."""

    @property
    def evicts(self) -> bool:
        """Redis drops keys when its memory is full."""
        return self.policy not in (None, NO_EVICTION)
