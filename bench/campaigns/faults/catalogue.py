"""The catalogue of faults: each is inflicted on a cluster while publishers push and listeners listen, and is undone.

Each fault also makes sure that it took effect, and raises NotReady otherwise. A round without a fault proves nothing.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bench.campaigns.faults.cluster import Cluster
from bench.rig.account import KEY
from bench.rig.node import Node
from bench.rig.processes import NotReady, wait_until
from bench.rig.redis import Redis, RedisError, command

HOUR = 3600
SLOT_MOVES_FOR = 0.5
"""Seconds for which some keys of an account are at one master, and some at another."""
THAWS_WITHIN = 3.0
"""Seconds after its replica took over in which a frozen master thaws. The nodes have moved by then, or have not."""
PUSHES_DURING = 20
"""Pushes that are acknowledged while a fault lasts."""


@dataclass(frozen=True)
class Durations:
    """Seconds that Redis is frozen, that Redis is paused, and that a network is cut.

    `answer`: seconds to an answer of any kind. The engine promises two; a busy machine is allowed two more.
    """

    frozen: float = 10.0
    paused: float = 5.0
    cut: float = 30.0
    answer: float = 4.0


SHORT_DURATIONS = Durations(frozen=4.0, paused=2.0, cut=6.0)


@dataclass(frozen=True)
class Fault:
    """A fault, and the kind of cluster that it is inflicted on (`cluster`).

    `inflict` returns when the fault is undone; the cluster need not be well again by then. If the fault `loses` pushes,
    a gap must tell each listener so.
    """

    name: str
    cluster: str
    inflict: Callable[[Cluster, Durations], Awaitable[None]]
    loses: bool = False


async def _end_node(cluster: Cluster, how: signal.Signals) -> None:
    node = cluster.rng.choice(cluster.nodes)
    await node.end(how)
    await cluster.wait_for_pushes(PUSHES_DURING)
    await node.start()


async def node_killed(cluster: Cluster, _durations: Durations) -> None:
    """Kill a node, and start it again on its ports."""
    await _end_node(cluster, signal.SIGKILL)


async def node_ended(cluster: Cluster, _durations: Durations) -> None:
    """Drain a node, as for a new version, and start it again on its ports."""
    await _end_node(cluster, signal.SIGTERM)


async def redis_killed(cluster: Cluster, _durations: Durations) -> None:
    """Kill Redis, and start it again with its append-only file."""
    redis = cluster.redises[0]
    await redis.wait_for_disk()
    await redis.end(signal.SIGKILL)
    await _unready(cluster.nodes, 10)
    await redis.start()


async def redis_frozen(cluster: Cluster, durations: Durations) -> None:
    """Freeze Redis: it answers nothing and closes nothing, and runs all commands when it thaws."""
    redis = cluster.redises[0]
    began = time.monotonic()
    redis.send_signal(signal.SIGSTOP)
    try:
        await _unready(cluster.nodes, durations.frozen)
        await asyncio.sleep(max(0.0, durations.frozen - (time.monotonic() - began)))
    finally:
        redis.send_signal(signal.SIGCONT)


async def _unready(nodes: Sequence[Node], within: float) -> None:
    """Wait until these nodes see that Redis is away: each must be alive and not ready. Raises NotReady."""
    for node in nodes:
        await wait_until(node.unready, within, f"{node.name} sees that Redis is away")
        if await node.health("live") != 200:
            raise NotReady(f"{node.name} is alive, but its health says that it is not")


def clients_killed(kind: str) -> Callable[[Cluster, Durations], Awaitable[None]]:
    """Return the fault that closes the nodes' connections of one type, three times in a row."""

    async def kill(cluster: Cluster, _durations: Durations) -> None:
        await _kill_clients(cluster, kind, 3, PUSHES_DURING // 2)

    return kill


async def _kill_clients(cluster: Cluster, kind: str, times: int, pushes: int) -> None:
    """Let Redis close all connections of one type so many times, with so many pushes after each. Raises NotReady."""
    killed = 0
    for _ in range(times):
        answer = await command(cluster.redises[0].port, "CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        assert isinstance(answer, int)
        killed += answer
        await cluster.wait_for_pushes(pushes)
    if killed < len(cluster.nodes):
        raise NotReady(f"Redis had only {killed} connections of type {kind} to close")


async def redis_paused(cluster: Cluster, durations: Durations) -> None:
    """Pause Redis: it accepts commands and runs none of them for a while."""
    milliseconds = int(durations.paused * 1000)
    await command(cluster.redises[0].port, "CLIENT", "PAUSE", milliseconds, "ALL")
    await asyncio.sleep(durations.paused)


async def scripts_flushed(cluster: Cluster, _durations: Durations) -> None:
    """Let Redis forget its scripts, three times in a row."""
    for _ in range(3):
        await command(cluster.redises[0].port, "SCRIPT", "FLUSH")
        await cluster.wait_for_pushes(PUSHES_DURING // 2)


async def everything_flushed(cluster: Cluster, _durations: Durations) -> None:
    """Let Redis forget everything."""
    await command(cluster.redises[0].port, "FLUSHALL")


async def primary_killed(cluster: Cluster, _durations: Durations) -> None:
    """Kill the primary, wait until its replica is promoted, and start the old primary again."""
    old = await _primary(cluster)
    await old.end(signal.SIGKILL)
    await _promoted(cluster, old)
    await old.start()
    # The old primary becomes a replica, or a second failover makes it the primary again. Both are well.
    await _primary(cluster)


async def failover_asked(cluster: Cluster, _durations: Durations) -> None:
    """Have the replica promoted while the primary lives."""
    old = await _primary(cluster)
    # Another Sentinel may have begun a failover already, and then this one refuses.
    with suppress(RedisError):
        await cluster.sentinels[0].failover()
    await _promoted(cluster, old)
    await _primary(cluster)


async def _primary(cluster: Cluster) -> Redis:
    """The primary that all Sentinels agree on. Raises NotReady."""

    async def agreed() -> bool:
        """True if all Sentinels know each other and one primary, its replica follows, and no failover is under way."""
        ports = {await sentinel.primary() for sentinel in cluster.sentinels}
        replicas = [redis for redis in cluster.redises if redis.port not in ports]
        calm = all([await sentinel.is_calm(len(cluster.sentinels)) for sentinel in cluster.sentinels])
        return calm and len(ports) == 1 and all([await redis.follows() for redis in replicas])

    await wait_until(agreed, cluster.settings.settle_time, "Sentinels agree")
    port = await cluster.sentinels[0].primary()
    return next(redis for redis in cluster.redises if redis.port == port)


async def _promoted(cluster: Cluster, old: Redis) -> None:
    async def promoted() -> bool:
        return await cluster.sentinels[0].primary() != old.port

    await wait_until(promoted, cluster.settings.settle_time, "the replica is promoted")


async def slot_moves(cluster: Cluster, _durations: Durations) -> None:
    """Move the slot of the account to another master of the Redis Cluster, and back. Keys are at both for a while."""
    redis = cluster.masters
    for _ in range(2):
        target = await asyncio.to_thread(redis.other_master, KEY)
        source = await asyncio.to_thread(redis.begin_to_move, KEY, target)
        await asyncio.to_thread(redis.move_keys, KEY, source, target, 3)
        await asyncio.sleep(SLOT_MOVES_FOR)
        while await asyncio.to_thread(redis.move_keys, KEY, source, target):
            pass
        await asyncio.to_thread(redis.end_move, KEY, source, target)
        await cluster.wait_for_pushes(PUSHES_DURING)


async def master_killed(cluster: Cluster, _durations: Durations) -> None:
    """Kill the master of the account in the Redis Cluster, wait until its replica takes over, and start it again."""
    redis = cluster.masters
    old = await asyncio.to_thread(redis.master_of, KEY)
    await asyncio.to_thread(old.end)
    await asyncio.to_thread(redis.wait_for_another, KEY, old)
    await asyncio.to_thread(old.start)
    await asyncio.to_thread(redis.wait_until_well)


async def master_frozen(cluster: Cluster, _durations: Durations) -> None:
    """Freeze the master of the account in the Redis Cluster, wait until its replica takes over, and let it thaw.

    It runs what was sent to it before it learns that it is a replica now.
    """
    redis = cluster.masters
    old = await asyncio.to_thread(redis.master_of, KEY)
    old.send_signal(signal.SIGSTOP)
    try:
        await asyncio.to_thread(redis.wait_for_another, KEY, old)
        await asyncio.sleep(cluster.rng.uniform(0, THAWS_WITHIN))
    finally:
        old.send_signal(signal.SIGCONT)
    await asyncio.to_thread(redis.wait_until_well)


async def replica_takes_over(cluster: Cluster, _durations: Durations) -> None:
    """Have a replica take over from the master of the account in the Redis Cluster, while the master lives."""
    redis = cluster.masters
    await asyncio.to_thread(redis.fail_over, KEY)
    await asyncio.to_thread(redis.wait_until_well)


async def network_cut(cluster: Cluster, durations: Durations) -> None:
    """Cut a node off from Redis for a while. The other node goes on."""
    assert cluster.network is not None
    port = cluster.redises[0].port
    began = time.monotonic()
    await cluster.network.cut(port)
    try:
        await _unready(cluster.nodes[:1], durations.cut)
        await asyncio.sleep(max(0.0, durations.cut - (time.monotonic() - began)))
    finally:
        await cluster.network.mend(port)


async def clock_jumps(cluster: Cluster, _durations: Durations) -> None:
    """Let the nodes' wall clocks jump by an hour and back, in opposite directions."""
    first, second = cluster.clocks[:2]
    for one, other in ((HOUR, -HOUR), (-HOUR, HOUR), (0, 0)):
        first.set(one)
        second.set(other)
        await _has_clock(cluster.nodes[0], one)
        await _has_clock(cluster.nodes[1], other)
        await cluster.wait_for_pushes(PUSHES_DURING)


async def _has_clock(node: Node, offset: int) -> None:
    """Wait until a node's wall clock is ahead by `offset` seconds, give or take five. Raises NotReady."""

    async def is_ahead() -> bool:
        return abs(await node.time() - time.time() - offset) < 5

    await wait_until(is_ahead, 10, f"{node.name} has a wall clock that is {offset:+d} s ahead")


async def clocks_wrong(cluster: Cluster, _durations: Durations) -> None:
    """Restart the nodes with clocks that are eleven minutes wrong, which is longer than pushes are kept."""
    for clock, offset, node in zip(cluster.clocks, (11 * 60, -11 * 60), cluster.nodes, strict=False):
        clock.set(offset)
        await node.end()
        await node.start()
        await _has_clock(node, offset)
        await cluster.wait_for_pushes(PUSHES_DURING)
    await cluster.wait_for_pushes(2 * PUSHES_DURING)


async def uneven_refill(cluster: Cluster, _durations: Durations) -> None:
    """Break the subscriptions under load, so that rings of very different sizes are filled again at once."""
    await _kill_clients(cluster, "pubsub", 5, 3 * PUSHES_DURING)


FAULTS = (
    Fault("node SIGKILL", "plain", node_killed),
    Fault("node SIGTERM", "plain", node_ended),
    Fault("Redis SIGKILL", "plain", redis_killed),
    Fault("Redis SIGSTOP", "frozen", redis_frozen),
    Fault("CLIENT KILL TYPE pubsub", "plain", clients_killed("pubsub")),
    Fault("CLIENT KILL TYPE normal", "plain", clients_killed("normal")),
    Fault("CLIENT PAUSE", "plain", redis_paused),
    Fault("SCRIPT FLUSH", "plain", scripts_flushed),
    Fault("FLUSHALL", "plain", everything_flushed, loses=True),
    Fault("Sentinel, primary killed", "sentinel", primary_killed),
    Fault("SENTINEL FAILOVER", "sentinel", failover_asked),
    Fault("cluster slot moves", "cluster", slot_moves),
    Fault("cluster master killed", "cluster", master_killed),
    Fault("cluster master frozen", "cluster", master_frozen),
    Fault("CLUSTER FAILOVER", "cluster", replica_takes_over),
    Fault("network cut", "isolated", network_cut),
    Fault("clock jumps an hour", "clocks", clock_jumps),
    Fault("clock 11 minutes wrong", "clocks", clocks_wrong),
    Fault("uneven refill", "uneven", uneven_refill),
)
SHORT = tuple(fault for fault in FAULTS if fault.cluster != "cluster")
"""The faults of the tests. tests/faults/test_cluster.py has short forms of the others, on servers that it has anyway."""
