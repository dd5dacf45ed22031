"""Connections to the master of whatever is not of one account: see `HOME`."""

from collections.abc import Callable

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure

from cometify.config.redis_url import RedisURL
from cometify.engine.redis import trial
from cometify.engine.redis.cluster.connection import ClusterConnection
from cometify.engine.redis.cluster.map_watch import MapReader
from cometify.engine.redis.cluster.slot_map import HOME, slot_of
from cometify.engine.redis.connection import Argument, RedisConnection
from cometify.engine.redis.scripts import Answer, Script
from cometify.runtime.reactor import Reactor

_MARK = b":-"
"""The end of the second key of each script. It names no master, because these scripts publish on no channel of an account."""


class HomeConnector(MapReader):
    """`url`: that of the cluster. `moved(reason)`: called when the home is elsewhere. Then connect again."""

    def __init__(self, reactor: Reactor, url: RedisURL, moved: Callable[[str], None]) -> None:
        super().__init__(reactor, url)
        self._moved = moved

    async def _find(self) -> IStreamClientEndpoint:
        slot_map, _unserved = await self._read(self._url.hosts)
        home = slot_map[slot_of(HOME)]
        return self._endpoint(home.host, home.port)

    def _make_connection(self) -> RedisConnection:
        return ClusterConnection(self._reactor.seconds, self._reactor.callLater, self, _MARK)

    async def _try_out(self, connection: RedisConnection) -> None:
        await trial.check(connection, HOME)

    # Redirections: see `Redirections`.

    waiting = ()
    """See `Redirections`. A script that is redirected fails here."""

    def is_stale(self, reply: str = "") -> None:
        self._moved(f"the slot of the accounts is elsewhere ({reply})")

    def run_elsewhere(
        self, failure: Failure, _script: Script[Answer], _name: bytes, _args: tuple[Argument, ...]
    ) -> Deferred[Answer]:
        return defer.fail(failure)
