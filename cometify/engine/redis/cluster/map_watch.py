"""The map of the slots, kept up to date.

It is read when the node starts, whenever a reply or a lost session says that it is stale, and now and then. Any node of the
cluster can be asked. One that is cut off from the others says that the cluster is down, and is not believed.
"""

import re
from collections.abc import Callable, Iterable
from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import RedisError

from cometify.config.redis_url import RedisURL
from cometify.engine.redis.absence import Absence
from cometify.engine.redis.cluster.slot_map import SLOTS, SlotMap, read_slots, without_master
from cometify.engine.redis.connection import RedisConnection
from cometify.engine.redis.connector import Connector
from cometify.engine.redis.error_replies import in_words
from cometify.runtime.periodic_task import PeriodicTask
from cometify.runtime.reactor import Reactor
from cometify.runtime.slices import SlicedWork

LOOK_EVERY = 0.25
"""Seconds between two readings while the map is stale, or a master is away."""
READ_EVERY = 30.0
"""Seconds between two readings while all is well."""
LOG_EVERY = 60.0
"""Seconds between two lines of the log about slots without a master, or about a map that cannot be read."""
PATIENCE = 5.0
"""Seconds for which the map may be unreadable before the log says so. A failover is a matter of seconds."""

Host = tuple[str, int]

log = Logger()


class MapWatch:
    """`adopt(slot_map)`: called with each map. `is_well()`: all masters are there.

    `hosts()`: the nodes to ask, the best first.
    """

    def __init__(
        self,
        reactor: Reactor,
        url: RedisURL,
        adopt: Callable[[SlotMap], None],
        is_well: Callable[[], bool],
        hosts: Callable[[], Iterable[Host]],
    ) -> None:
        self._reader = MapReader(reactor, url)
        self._seconds = reactor.seconds
        self._adopt = adopt
        self._is_well = is_well
        self._hosts = hosts
        self._owner: Host | None = None  # of a slot that has moved: it knows best
        self._is_stale = True
        self._read_at = 0.0
        self._logged_at = -LOG_EVERY
        self._failing_since: float | None = None
        self.unserved: frozenset[int] = frozenset()
        """The slots that have no master."""
        self._reading: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._going_on: SlicedWork[Deferred[None]] = SlicedWork(reactor.callLater, lambda _done: "an account")
        self._is_stopped = False
        self._task = PeriodicTask("looking for the masters of the cluster", LOOK_EVERY, self._look, reactor)
        self.absence = Absence(str(url), reactor.seconds)
        """The reason why there is no map yet."""

    def start(self) -> None:
        """Read the map, and again when it is stale."""
        self._task.start()
        self.read()

    def stop(self) -> None:
        """Read nothing more."""
        self._is_stopped = True
        self._task.stop()
        if self._reading is not None:
            self._reading.cancel()

    def is_stale(self, reply: str = "") -> None:
        """See `Redirections`."""
        self._is_stale = True
        words = reply.split()
        if words[:1] == ["MOVED"] and len(words) == 3:
            host, _, port = words[2].rpartition(":")
            self._owner = (host, int(port)) if host and port.isdigit() else None

    def _look(self) -> None:
        if self._is_stale or not self._is_well() or self._seconds() - self._read_at > READ_EVERY:
            self.read()

    def read(self) -> Deferred[None]:
        """Read the map now. Fires when it was read, or could not be."""
        if self._is_stopped:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if self._reading is None:
            self._is_stale = False
            hosts = dict.fromkeys([*([self._owner] if self._owner else ()), *self._hosts()])
            self._owner = None
            self._reading = self._reader.read(hosts).addCallbacks(self._have_read, self._not_read)
            self._reading.addErrback(lambda failure: log.failure("The masters of the cluster cannot be used", failure))
            self._reading.addBoth(self._done)
        return done

    def _have_read(self, found: tuple[SlotMap, frozenset[int]]) -> None:
        if not self._is_stopped:
            self._read_at = self._seconds()
            self._failing_since = None
            slot_map, unserved = found
            if unserved and (unserved != self.unserved or self._may_log()):
                self._logged_at = self._read_at
                log.error(
                    "{reason}. Their accounts are refused. The first is slot {slot}.",
                    reason=without_master(len(unserved)),
                    slot=min(unserved),
                )
            elif self.unserved and not unserved:
                log.info("All slots of the cluster have a master again")
            self.unserved = unserved
            self.absence.over()
            self._adopt(slot_map)

    def _may_log(self) -> bool:
        return self._seconds() - self._logged_at >= LOG_EVERY

    def _not_read(self, failure: Failure) -> None:
        self._is_stale = True
        if self._is_stopped:
            return
        if not self._read_at:
            self.absence.failed(in_words(failure))
            return
        now = self._seconds()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since >= PATIENCE and self._may_log():
            self._logged_at = now
            log.error(
                "The masters of the cluster cannot be found, so slots that move are not followed: {reason}. Trying again.",
                reason=in_words(failure).rstrip("."),
            )

    def _done(self, _none: None) -> None:
        self._reading = None
        waiting, self._waiting = self._waiting, []
        self._going_on.add("Going on with the new map", waiting, lambda: lambda done: done.callback(None), at_once=True)


class MapReader(Connector):
    """Asks nodes of the cluster for the map."""

    def read(self, hosts: Iterable[Host]) -> Deferred[tuple[SlotMap, frozenset[int]]]:
        """Ask these nodes, one after the other, until one answers: see `read_slots`. Fails with `RedisError`."""
        return Deferred.fromCoroutine(self._read(hosts))

    async def _read(self, hosts: Iterable[Host]) -> tuple[SlotMap, frozenset[int]]:
        why = "no node of the cluster is known"
        for host, port in hosts:
            try:
                connection = await self._open(self._endpoint(host, port))
            except Exception as error:  # noqa: BLE001 - endpoints fail with errors of many kinds
                why = f"{host}:{port} could not be reached ({error})"
                continue
            try:
                return await self._within(Deferred.fromCoroutine(self._ask_for_map(connection, host)), connection)
            except RedisError as error:
                why = f"{host}:{port}: {error}"
            finally:
                connection.transport.loseConnection()
        raise RedisError(why)

    async def _ask_for_map(self, connection: RedisConnection, host: str) -> tuple[SlotMap, frozenset[int]]:
        await self._introduce(connection)
        state = cast("bytes", await connection.execute(b"CLUSTER", b"INFO"))
        if b"cluster_state:ok" not in state:
            found = re.search(rb"cluster_slots_assigned:(\d+)", state)
            missing = SLOTS - int(found[1]) if found else 0
            raise RedisError("the cluster is down" + (f", because {without_master(missing)}" if missing else ""))
        return read_slots(await connection.execute(b"CLUSTER", b"SLOTS"), host)
