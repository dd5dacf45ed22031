"""The engine that the settings ask for."""

from collections.abc import Callable, Iterable
from functools import partial

from cometify.admin.traces import PushTraces
from cometify.config.settings import Settings
from cometify.core.account import Account
from cometify.delivery.registry import Registry
from cometify.engine.memory import MemoryEngine
from cometify.interfaces import IAnnounce, IEngine
from cometify.runtime.reactor import Reactor


def make_engine(
    settings: Settings,
    reactor: Reactor,
    clock: Callable[[], int],
    registry: Registry,
    accounts: Iterable[Account],
    traces: PushTraces | None,
) -> IEngine:
    """Make the engine. `clock`: in microseconds. `accounts`: those of this server, at any time."""
    announce: IAnnounce = registry.announce
    if traces is not None:
        announce = partial(traces.announce, announce)
    if settings.redis is None:
        return MemoryEngine(clock, announce, settings.keep_bytes_total)
    # They are imported here, because txredisapi installs a reactor when it is imported.
    from cometify.engine.redis.cluster.engine import ClusterEngine  # noqa: PLC0415
    from cometify.engine.redis.engine import RedisEngine  # noqa: PLC0415
    from cometify.engine.redis.spread_engine import SpreadEngine  # noqa: PLC0415

    engine: type[ClusterEngine | SpreadEngine | RedisEngine] = RedisEngine
    if settings.redis.cluster:
        engine = ClusterEngine
    elif settings.redis.others:
        engine = SpreadEngine
    return engine(reactor, settings.redis, settings.redis_wait, announce, registry.lost, accounts)
