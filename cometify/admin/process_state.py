"""The state of a process, as it tells it to the console: whether it is ready, and how near it is to its limits."""

from collections.abc import Mapping

from twisted.application.service import MultiService

from cometify.config.settings import Settings
from cometify.interfaces import RedisHealth
from cometify.runtime.connection_limits import NO_LIMIT, most_descriptors
from cometify.runtime.descriptors import descriptors_in_use
from cometify.runtime.ports import certificates_of


def process_state(
    server: MultiService, settings: Settings, redis: RedisHealth | None, not_ready: str | None
) -> Mapping[str, object]:
    """Describe a server in values that JSON has. `redis`: None if pushes are kept in this process."""
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
        "redis": None if redis is None else _describe(redis),
    }


def _describe(redis: RedisHealth) -> Mapping[str, object]:
    return {
        "up": redis.is_up,
        "reason": redis.reason,
        "used": redis.used_memory,
        "most": redis.max_memory,
        "policy": redis.policy,
        "replicas": redis.replicas,
        "wanted_replicas": redis.wanted_replicas,
    }
