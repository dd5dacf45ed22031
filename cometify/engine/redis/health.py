"""The state of one Redis, as a node sees it: see `RedisHealth`."""

import attrs

from cometify.engine.redis.memory_watch import MemoryWatch
from cometify.engine.redis.replica_wait import ReplicaWait
from cometify.engine.redis.session import RedisSession
from cometify.interfaces import RedisHealth


def health_of(session: RedisSession, replica_wait: ReplicaWait, memory_watch: MemoryWatch) -> RedisHealth:
    """Return the state of Redis at this moment."""
    wanted, absence, memory = replica_wait.replicas, session.absence, memory_watch.memory
    replicas = replica_wait.there if wanted else None
    health = RedisHealth(absence.where, session.is_ready, absence.losses, replicas, wanted, absence.reason)
    if memory is None or not session.is_ready:
        return health
    return attrs.evolve(health, used_memory=memory.used, max_memory=memory.most, policy=memory.policy)
