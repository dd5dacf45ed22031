"""The faults: what is done to a world while everybody pushes and listens, and undone again."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from bench.campaigns.faults.cluster import World
from bench.rig.processes import NotReady, until
from bench.rig.redis import Redis, RedisError, ask

HOUR = 3600
MEANWHILE = 20
"""Pushes that are acknowledged while something is as it should not be."""


@dataclass(frozen=True)
class Lengths:
    """How long what has a length lasts, in seconds: Redis frozen, Redis paused, a network cut."""

    frozen: float = 10.0
    paused: float = 5.0
    cut: float = 30.0


SHORT = Lengths(frozen=4.0, paused=2.0, cut=6.0)


@dataclass(frozen=True)
class Fault:
    """`inflict` returns when it is undone, and nothing need be well again yet. `world`: the kind that it is inflicted on.

    `loses`: pushes may be lost to a listener, and a gap must tell each of them so.
    """

    name: str
    world: str
    inflict: Callable[[World, Lengths], Awaitable[None]]
    loses: bool = False


def _node(world: World) -> int:
    return world.chance.randrange(len(world.nodes))


async def _end_node(world: World, how: signal.Signals) -> None:
    node = world.nodes[_node(world)]
    await node.end(how)
    await world.pushed(MEANWHILE)
    await node.start()


async def node_killed(world: World, _lengths: Lengths) -> None:
    """A node dies without a word, and comes back where it was."""
    await _end_node(world, signal.SIGKILL)


async def node_ended(world: World, _lengths: Lengths) -> None:
    """A node drains, as when a new version is installed."""
    await _end_node(world, signal.SIGTERM)


async def redis_killed(world: World, _lengths: Lengths) -> None:
    """Redis dies, and comes back with what it had written."""
    redis = world.redises[0]
    await redis.has_written()
    await redis.end(signal.SIGKILL)
    await _unready(world)
    await redis.start()


async def redis_frozen(world: World, lengths: Lengths) -> None:
    """Redis answers nothing for a while, and closes nothing: what it was sent is done when it thaws."""
    redis = world.redises[0]
    redis.send(signal.SIGSTOP)
    try:
        async with asyncio.timeout(lengths.frozen) as passed:
            await _unready(world)
            await asyncio.Event().wait()
    except TimeoutError:
        if not passed.expired():
            raise
    finally:
        redis.send(signal.SIGCONT)


async def _unready(world: World) -> None:
    """All nodes see that Redis is away: they are alive, and not ready."""
    for node in world.nodes:
        await until(node.unready, 10, f"{node.name} sees that Redis is away")
        if await node.health("live") != 200:
            raise NotReady(f"{node.name} is alive, but its health says that it is not")


def _clients_killed(kind: str) -> Callable[[World, Lengths], Awaitable[None]]:
    async def clients_killed(world: World, _lengths: Lengths) -> None:
        """Redis closes connections of the nodes', three times in a row."""
        for _ in range(3):
            await ask(world.redises[0].port, "CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
            await world.pushed(MEANWHILE // 2)

    return clients_killed


async def redis_paused(world: World, lengths: Lengths) -> None:
    """Redis takes commands and does nothing with them, but lives."""
    milliseconds = int(lengths.paused * 1000)
    await ask(world.redises[0].port, "CLIENT", "PAUSE", milliseconds, "ALL")
    await asyncio.sleep(lengths.paused)


async def scripts_flushed(world: World, _lengths: Lengths) -> None:
    """Redis forgets the scripts that it was given."""
    for _ in range(3):
        await ask(world.redises[0].port, "SCRIPT", "FLUSH")
        await world.pushed(MEANWHILE // 2)


async def everything_flushed(world: World, _lengths: Lengths) -> None:
    """Redis forgets everything."""
    await ask(world.redises[0].port, "FLUSHALL")


async def primary_killed(world: World, _lengths: Lengths) -> None:
    """The primary dies, its replica is promoted, and the old primary comes back as a replica."""
    old = await _primary(world)
    await old.end(signal.SIGKILL)
    await _promoted(world, old)
    await old.start()
    await _primary(world)  # when the old one is a replica, or a second failover has made it the primary again


async def failover_asked(world: World, _lengths: Lengths) -> None:
    """The replica is promoted while the primary lives."""
    old = await _primary(world)
    with suppress(RedisError):  # another Sentinel may be at it already
        await world.sentinels[0].failover()
    await _promoted(world, old)
    await _primary(world)


async def _primary(world: World) -> Redis:
    async def agreed() -> bool:
        """All Sentinels know each other and the same primary, its replica follows it, and no failover is going on."""
        ports = {await sentinel.primary() for sentinel in world.sentinels}
        replicas = [redis for redis in world.redises if redis.port not in ports]
        calm = all([await sentinel.is_calm(len(world.sentinels)) for sentinel in world.sentinels])
        return calm and len(ports) == 1 and all([await redis.follows() for redis in replicas])

    await until(agreed, world.setting.settles, "Sentinels agree")
    port = await world.sentinels[0].primary()
    return next(redis for redis in world.redises if redis.port == port)


async def _promoted(world: World, old: Redis) -> None:
    async def promoted() -> bool:
        return await world.sentinels[0].primary() != old.port

    await until(promoted, world.setting.settles, "the replica is promoted")


async def network_cut(world: World, lengths: Lengths) -> None:
    """A node and Redis hear nothing of each other for a while; the other node goes on."""
    assert world.network is not None
    port = world.redises[0].port
    await world.network.cut(port)
    try:
        await asyncio.sleep(lengths.cut)
    finally:
        await world.network.mend(port)


async def clock_jumps(world: World, _lengths: Lengths) -> None:
    """The clocks of nodes jump by an hour and back, one forward and one back."""
    first, second = world.clocks[:2]
    for one, other in ((HOUR, -HOUR), (-HOUR, HOUR), (0, 0)):
        first.set(one)
        second.set(other)
        await world.pushed(MEANWHILE)


async def clocks_wrong(world: World, _lengths: Lengths) -> None:
    """Clocks are eleven minutes wrong, which is more than is kept; nodes begin with them, and listeners come and go."""
    for clock, offset, node in zip(world.clocks, (11 * 60, -11 * 60), world.nodes, strict=False):
        clock.set(offset)
        await node.end()
        await node.start()
        await world.pushed(MEANWHILE)
    await world.pushed(2 * MEANWHILE)


async def uneven_refill(world: World, _lengths: Lengths) -> None:
    """Subscriptions break under load, and rings of very different sizes are filled again at once."""
    for _ in range(5):
        await ask(world.redises[0].port, "CLIENT", "KILL", "TYPE", "pubsub")
        await world.pushed(3 * MEANWHILE)


FAULTS = (
    Fault("node SIGKILL", "plain", node_killed),
    Fault("node SIGTERM", "plain", node_ended),
    Fault("Redis SIGKILL", "plain", redis_killed),
    Fault("Redis SIGSTOP", "frozen", redis_frozen),
    Fault("CLIENT KILL TYPE pubsub", "plain", _clients_killed("pubsub")),
    Fault("CLIENT KILL TYPE normal", "plain", _clients_killed("normal")),
    Fault("CLIENT PAUSE", "plain", redis_paused),
    Fault("SCRIPT FLUSH", "plain", scripts_flushed),
    Fault("FLUSHALL", "plain", everything_flushed, loses=True),
    Fault("Sentinel, primary killed", "sentinel", primary_killed),
    Fault("SENTINEL FAILOVER", "sentinel", failover_asked),
    Fault("network cut", "apart", network_cut),
    Fault("clock jumps an hour", "clocks", clock_jumps),
    Fault("clock 11 minutes wrong", "clocks", clocks_wrong),
    Fault("uneven refill", "uneven", uneven_refill),
)
