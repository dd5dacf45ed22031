"""The state of a process, as it tells it to the console: whether it is ready, and how near it is to its limits."""

from collections.abc import Mapping, Sequence

from twisted.application.service import MultiService

from cometify.config.settings import Settings
from cometify.interfaces import NO_EVICTION, RedisHealth
from cometify.runtime.connection_limits import NO_LIMIT, most_descriptors
from cometify.runtime.descriptors import descriptors_in_use
from cometify.runtime.ports import certificates_of


def process_state(
    server: MultiService, settings: Settings, redis: Sequence[RedisHealth], not_ready: str | None
) -> Mapping[str, object]:
    """Describe a server in values that JSON has. `redis`: empty if pushes are kept in this process."""
    most = most_descriptors()
    return {
        "not_ready": not_ready,
        "engine": "memory" if settings.redis is None else "redis",
        "http": settings.http,
        "descriptors": {"used": descriptors_in_use(), "most": None if most == NO_LIMIT else most},
        "certificates": [
            {"endpoint": one.endpoint, "not_after": one.validity.not_after, "lacks": one.validity.issuer}
            for one in certificates_of(server)
        ],
        "redis": _describe(redis) if redis else None,
    }


def _describe(all_redis: Sequence[RedisHealth]) -> Mapping[str, object]:
    """Describe a Redis, or several as one: the worst of each, because the console shows what is to be done."""
    fullest = max(all_redis, key=lambda one: (one.used_memory or 0) / (one.max_memory or float("inf")))
    replicas = [one.replicas for one in all_redis if one.replicas is not None]
    policies = sorted((one.policy for one in all_redis), key=lambda policy: policy in (None, NO_EVICTION))
    return {
        "up": all(one.is_up for one in all_redis),
        "reason": _reason(all_redis),
        "used": fullest.used_memory,
        "most": fullest.max_memory,
        "policy": policies[0],
        "replicas": min(replicas, default=None),
        "wanted_replicas": all_redis[0].wanted_replicas,
    }


def _reason(all_redis: Sequence[RedisHealth]) -> str | None:
    """The reason of an absence. With several Redis it begins with the place of each that is away."""
    if len(all_redis) == 1:
        return all_redis[0].reason
    away = [f"{one.place} ({one.reason or 'not reached yet'})" for one in all_redis if not one.is_up]
    return ", ".join(away) or None
