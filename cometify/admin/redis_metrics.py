"""The figures of Redis, as a node sees it. They have no series without Redis, so that no alert fires then."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from cometify.interfaces import RedisHealth


def of_redis(all_redis: Sequence[RedisHealth]) -> Iterator[Metric]:
    """Yield the families. If there are several Redis, the label `redis` has the place of each."""
    names = ["redis"] if len(all_redis) > 1 else []
    losses = CounterMetricFamily(
        "cometify_redis_losses",
        "Times that Redis was lost after it had been there, by the reason.",
        labels=["reason", *names],
    )

    def gauge(name: str, text: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"cometify_redis_{name}", text, labels=names)

    up = gauge("up", "1 while Redis takes pushes and listeners can join, else 0.")
    replicas = gauge("replicas", "Replicas that answered the last time, with redis_wait.")
    used = gauge("memory_used_bytes", "Memory that Redis uses, as of the last half minute.")
    most = gauge("memory_max_bytes", "Memory that Redis may use, 0 if it is not bounded.")
    evicts = gauge("evicts", "1 if Redis drops keys when its memory is full, else 0.")
    for redis in all_redis:
        place = [redis.place] if names else []
        up.add_metric(place, redis.is_up)
        for reason, count in redis.losses.items():
            losses.add_metric([reason, *place], count)
        if redis.replicas is not None:
            replicas.add_metric(place, redis.replicas)
        if redis.used_memory is not None:
            used.add_metric(place, redis.used_memory)
            most.add_metric(place, redis.max_memory)
            evicts.add_metric(place, redis.evicts)
    yield from (up, losses, replicas, used, most, evicts)
