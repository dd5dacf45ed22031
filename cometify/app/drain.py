"""The drain: a server that is about to end sends its listeners away, and serves until they are gone.

If other nodes keep the same pushes, the listeners go there:

    0 s           `/health/ready` says "draining". Each HTTP answer ends its connection, so that balancers and publishers keep
                  none. Everything is served, also new connections.
    a quarter     By now a balancer that asks for the health has noticed. The ports close, because a balancer that does not
    of `drain`    ask (nginx) goes on to the next node only when this one refuses connections. Idle connections close too, or
                  nginx would send listeners over them. Nobody joins any longer.
    from then on  The listeners are sent away in portions, and come back at once. The others are served meanwhile, and so are
                  pushes on the connections that are still there.
    the end       All are gone and nothing is under way, or `drain` seconds are over. Pushes are refused.

A listener is away for a round trip only. If all were sent away at once, with delays of up to `drain` seconds, each would be
deaf for half of that.

If no other node is there, a listener that is sent away can only wait until this server has been started again. So all are sent
away at once and told to come back when that can have happened, and the process ends as soon as they are gone. It takes less
time than anything else, and is the shortest time in which nobody is served. Pushes that are kept in this process alone are
refused from the beginning, because a listener that has been sent away would not get them. Those that were accepted before are
written first.
"""

import random
from collections.abc import Callable, Generator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.logger import Logger

from cometify.app.portions import send_in_portions, soon
from cometify.core.listener import Listener
from cometify.http.fast_channel import FastChannel
from cometify.http.site import Site
from cometify.interfaces import IEngine
from cometify.membership.membership import Membership
from cometify.runtime.reactor import Reactor
from cometify.runtime.slices import SlicedWork
from cometify.transports.context import Context
from cometify.transports.disconnect import DisconnectEndpoint
from cometify.transports.push import PushEndpoint

log = Logger()

NOTICE = 0.25
"""The part of `drain` in which balancers can notice. With the default, 2.5 s, in which HAProxy asks twice."""
CLOSING = 0.1
"""The part of `drain` that is left for the last listeners to close their connections."""
CHECK = 0.1
"""Seconds between two checks whether a server is empty. Bytes that were just written need time to leave."""
REQUESTS_WITHIN = 0.5
"""Seconds in which a client that has connected before the ports closed sends its request. The end would reset it."""
RESTART = 1500
"""Milliseconds that a server takes to start again, in which no listener needs to come."""
FASTEST = 1
"""Listeners that come back to a server that was started again, each millisecond at most."""


class Drain:
    """Drains one server. `sites`: those of its public ports. `seconds`: the setting `drain`.

    `has_begun`: the server should get no work.
    """

    def __init__(
        self,
        seconds: int,
        reactor: Reactor,
        engine: IEngine,
        membership: Membership,
        context: Context,
        sites: Sequence[Site],
        pushing: Sequence[PushEndpoint | DisconnectEndpoint],
    ) -> None:
        self._seconds = seconds
        self._reactor = reactor
        self._engine = engine
        self._membership = membership
        self._context = context
        self._sites = sites
        self._pushing = pushing
        self.has_begun = False
        self._recent: list[FastChannel] = []
        self._recent_until = 0.0
        self._closing: SlicedWork[FastChannel] = SlicedWork(reactor.callLater, lambda _channel: "a connection")

    @inlineCallbacks
    def run(self, close_ports: Callable[[], "Deferred[object]"]) -> Generator["Deferred[Any]", object, None]:
        """Drain. `close_ports()` has the public ports accept nothing more. Fires at the end."""
        self.has_begun = True
        until = self._reactor.seconds() + self._seconds
        for site in self._sites:
            site.end_connections()
        if self._engine.slots is None:
            self._refuse()
            while self._context.fan_out.is_busy and self._reactor.seconds() < until:
                yield self._wait(0)
        others = yield self._engine.leave()
        if others:
            log.info("Draining: {total} listeners are sent to other nodes", total=len(self._membership))
            yield self._wait(self._seconds * NOTICE)
            yield close_ports()
            connections = self._note_recent()
            self._closing.add("Closing idle connections", connections, lambda: FastChannel.close_if_idle)
            yield self._send_to_others(until)
        else:
            log.info("Draining: {total} listeners are told to come back later", total=len(self._membership))
            yield close_ports()
            self._note_recent()
            self._send_all_away()
        while True:
            yield self._wait(CHECK)
            if not (self._is_busy or self._is_pushing) or self._reactor.seconds() >= until:
                break
        self._refuse()

    def _wait(self, seconds: float) -> "Deferred[object]":
        waited: Deferred[object] = deferLater(self._reactor, seconds)  # type: ignore[arg-type]
        return waited

    def _refuse(self) -> None:
        for endpoint in self._pushing:
            endpoint.draining = True

    def _note_recent(self) -> list[FastChannel]:
        """Note the connections on which a first request may be under way. Returns all that may be idle."""
        connections = [connection for site in self._sites for connection in site.idle_connections()]
        self._recent = [connection for connection in connections if connection.is_recent]
        self._recent_until = self._reactor.seconds() + REQUESTS_WITHIN
        return connections

    @property
    def _is_busy(self) -> bool:
        if self._reactor.seconds() < self._recent_until and any(connection.is_open for connection in self._recent):
            return True
        return self._membership.is_sending_away or bool(self._context.closing)

    @property
    def _is_pushing(self) -> bool:
        return any(endpoint.under_way for endpoint in self._pushing)

    @inlineCallbacks
    def _send_to_others(self, until: float) -> Generator["Deferred[Any]", object, None]:
        listeners = self._close_membership(soon)
        left = until - self._reactor.seconds() - self._seconds * CLOSING
        yield send_in_portions(self._reactor, self._membership, listeners, left)

    def _send_all_away(self) -> None:
        spread = min(max(1000, len(self._membership) // FASTEST), max(1000, self._seconds * 1000))

        def later() -> int:
            return RESTART + random.randint(0, spread)

        self._membership.send_away(self._close_membership(later), later)

    def _close_membership(self, after: Callable[[], int]) -> list[Listener]:
        """Let nobody join any longer. Returns the listeners that are here, in no order.

        `after`: gives the milliseconds after which the next of them shall come back.
        """
        # WebSockets that have not asked for anything yet have no slot.
        listeners = [*self._context.silent, *self._membership.close(after)]
        random.shuffle(listeners)
        return listeners
