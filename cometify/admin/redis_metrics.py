"""The figures of Redis, as a node sees it. They have no series without Redis, so that no alert fires then."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from cometify.interfaces import RedisHealth


def of_redis(redis: RedisHealth | None) -> Iterator[Metric]:
    """Yield the families. `redis`: None if pushes are kept in this process."""
    up = GaugeMetricFamily("cometify_redis_up", "1 while Redis takes pushes and listeners can join, else 0.")
    losses = CounterMetricFamily(
        "cometify_redis_losses", "Times that Redis was lost after it had been there, by the reason.", labels=["reason"]
    )
    replicas = GaugeMetricFamily("cometify_redis_replicas", "Replicas that answered the last time, with redis_wait.")
    used = GaugeMetricFamily("cometify_redis_memory_used_bytes", "Memory that Redis uses, as of the last half minute.")
    most = GaugeMetricFamily("cometify_redis_memory_max_bytes", "Memory that Redis may use, 0 if it is not bounded.")
    evicts = GaugeMetricFamily("cometify_redis_evicts", "1 if Redis drops keys when its memory is full, else 0.")
    if redis is not None:
        up.add_metric([], redis.is_up)
        for reason, count in redis.losses.items():
            losses.add_metric([reason], count)
        if redis.replicas is not None:
            replicas.add_metric([], redis.replicas)
        if redis.used_memory is not None:
            used.add_metric([], redis.used_memory)
            most.add_metric([], redis.max_memory)
            evicts.add_metric([], redis.evicts)
    yield from (up, losses, replicas, used, most, evicts)
