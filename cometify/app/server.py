"""One server: its parts, its start and its stop."""

import time
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import cast

from twisted.application.service import MultiService
from twisted.internet import defer, task
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.accounts.followed_accounts import FollowedAccounts
from cometify.admin.account_figures import AccountFigures, ReloadFigures
from cometify.admin.certificate_metrics import CertificateFigures
from cometify.admin.console import Console
from cometify.admin.inspect_endpoint import InspectEndpoint
from cometify.admin.metrics import Figures, MetricsEndpoint
from cometify.admin.operator_urls import OperatorUrls
from cometify.admin.process_state import process_state
from cometify.admin.refusal_log import RefusalLog
from cometify.admin.traces import TracedPushEndpoint, make_traces
from cometify.admin.urls import AdminRoot
from cometify.admin.usage_endpoint import AccountUsageEndpoint
from cometify.admin.webhook_metrics import WebhookFigures
from cometify.app.drain import Drain
from cometify.app.engine import make_engine
from cometify.app.portions import Levelling
from cometify.app.readiness import why_not_whole
from cometify.config.accounts import Accounts
from cometify.config.difference import Difference
from cometify.config.last_reload import LastReload
from cometify.config.settings import Settings
from cometify.core.history import EVERY
from cometify.core.join_pace import JoinPace
from cometify.core.quota import Quota
from cometify.core.usage import Usage
from cometify.delivery.fanout import FanOut
from cometify.delivery.heartbeats import HeartbeatWheel
from cometify.delivery.listener_counts import ListenerCounts
from cometify.delivery.registry import Registry
from cometify.delivery.token_expiry import TokenExpiry
from cometify.engine import USAGE_EVERY
from cometify.http.idle_timeout import IdleTimeout
from cometify.http.site import Site
from cometify.http.untrusted_proxies import UntrustedProxies
from cometify.membership.membership import Membership
from cometify.runtime.connection_limits import (
    ConnectionLimits,
    admin_connections,
    most_descriptors,
    public_descriptors,
    webhook_descriptors,
)
from cometify.runtime.epoll_loop import LoopHooks
from cometify.runtime.periodic_task import PeriodicTask
from cometify.runtime.ports import poll_certificates, read_certificates
from cometify.runtime.reactor import Reactor
from cometify.runtime.reactor_lag import ReactorLag
from cometify.runtime.slices import SlicedWork
from cometify.transports.back_end import BackEnd
from cometify.transports.begun_message import MESSAGE_WITHIN
from cometify.transports.context import Context
from cometify.transports.disconnect import DisconnectEndpoint
from cometify.transports.position import PositionEndpoint
from cometify.transports.publishers import Publishers
from cometify.transports.push import PushEndpoint
from cometify.transports.urls import Root, WebSocketRoot
from cometify.webhooks.requests import WebhookClient
from cometify.webhooks.turns import Turns
from cometify.webhooks.webhooks import Webhooks

log = Logger()

EXPIRE_EVERY = 5
"""Seconds between two calls of the task that forgets what is too old."""
LOG_REFUSALS = 5
"""Seconds between two looks at refusals that the log must tell."""
POLL_CERTIFICATES = 5
"""Seconds between two looks at the files of the certificates."""
LAST_REPORT = 1.5
"""Seconds that a server that stops waits for Redis to take the last usage of accounts."""


class Cometify(MultiService):
    """A server that does not listen yet: `app/service.py` gives it its ports.

    `limits`, `limits_of_proxies`, `limits_of_admin`: the bounds on connections of the ports that are open to everybody, of
    the ports with the PROXY protocol, and of the admin endpoint.

    `clock`: the engine's, in microseconds. `wall`: Unix seconds of the system's clock, which somebody can set.
    `loop_hooks`: those of a reactor with a loop of our own.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Reactor,
        clock: Callable[[], int],
        wall: Callable[[], float] = time.time,
        loop_hooks: LoopHooks | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self._reactor = reactor
        self.accounts = Accounts(settings.accounts, is_complete=settings.account_store is None)
        self.last_reload, self.reload = LastReload(at=wall()), cast("Callable[[bool], Difference] | None", None)
        loop_hooks = loop_hooks or LoopHooks(reactor.callLater)
        self.usage = Usage(self.accounts.get)
        self.fan_out = FanOut(loop_hooks.call_soon)
        self.registry = Registry(self.fan_out.wake, loop_hooks.call_soon, usage=self.usage)
        self.traces = make_traces(settings.traces, settings.traces_ratio, self.fan_out, self.registry)
        self.engine = make_engine(settings, reactor, clock, self.registry, self.accounts, self.traces)
        self.engine.usage.watch(self.usage)
        self.quota = Quota(None if self.engine.slots is None else self.engine.slots.leave)
        self.heartbeats = HeartbeatWheel(settings.heartbeat, loop_hooks.call_soon)
        self.token_expiry = TokenExpiry(reactor.callLater, wall)
        self.membership = Membership(
            self.engine,
            self.registry,
            self.quota,
            self.fan_out,
            self.heartbeats,
            self.token_expiry,
            reactor.seconds,
            loop_hooks.call_soon,
            JoinPace(settings.joins_per_second),
            self.usage,
        )
        self.followed = FollowedAccounts(settings, self.accounts, self._accounts_changed, reactor, wall, self)
        context = Context(
            self.accounts,
            self.membership,
            self.fan_out,
            self.heartbeats,
            settings.trusted_proxies,
            UntrustedProxies(reactor.seconds),
            reactor.callLater,
            reactor.seconds,
            IdleTimeout(reactor.seconds, MESSAGE_WITHIN),
            SlicedWork(loop_hooks.call_soon, lambda _pace: "a WebSocket", 1),
        )
        self.webhooks = Webhooks(
            self.engine.webhooks,
            self.registry,
            lambda api_key: self.usage.of(api_key).refused,
            WebhookClient(
                reactor, settings.webhook_networks, wall, Turns(webhook_descriptors(), loop_hooks.call_soon)
            ).send,
            reactor.seconds,
            wall,
            loop_hooks.call_soon,
        )
        self.registry.watch_channels(self.webhooks.occupied, self.webhooks.vacated)
        self.webhooks.accounts_changed(self.accounts)
        publishers = Publishers(self.accounts, settings.trusted_proxies, wall)
        pushing = (self.engine, self.registry, publishers, self.usage)
        self.push = PushEndpoint(*pushing) if self.traces is None else TracedPushEndpoint(self.traces, *pushing)
        disconnect = DisconnectEndpoint(self.engine, publishers, wall, self.usage)
        self.engine.queries.count_with(ListenerCounts(self.registry, loop_hooks.call_soon))
        back_end = BackEnd(self.engine.queries, self.engine.usage, publishers, loop_hooks.call_soon, self.usage)
        position = PositionEndpoint(context, self.engine)
        root = Root(self.push, disconnect, position, back_end, context, reactor, pages=settings.pages)
        self.http = Site(root, reactor, loop_hooks.write_batch)
        self.websocket = Site(WebSocketRoot(context, reactor), reactor, bodies=self.http.bodies)
        levelling = Levelling(reactor, self.membership, settings.drain)
        self.engine.level_with(lambda: len(self.membership), levelling.send_away)
        self._drain = Drain(
            settings.drain,
            reactor,
            self.engine,
            self.membership,
            context,
            (self.http, self.websocket),
            (self.push, disconnect),
        )
        per_address = settings.connections_per_ip
        if per_address is None:
            per_address = most_descriptors() // 10
        public = public_descriptors()
        self.limits = ConnectionLimits(per_address, settings.trusted_proxies, public, reactor.seconds)
        self.limits_of_proxies = ConnectionLimits(0, (), public, reactor.seconds)
        self.limits_of_admin = ConnectionLimits(0, (), most_descriptors(), reactor.seconds, left=None)
        self.reactor_lag = ReactorLag(reactor, loop_hooks.longest_turn)
        self.reactor_lag.setServiceParent(self)
        self.figures = Figures(
            self.engine,
            self.registry,
            self.fan_out,
            self.heartbeats,
            self.membership,
            self.push,
            disconnect,
            back_end,
            self.reactor_lag,
            (self.http.idle, self.websocket.idle),
            (self.limits, self.limits_of_proxies),
            context.untrusted,
            self.why_not_ready,
            self.usage if settings.account_metrics else None,
        )
        console = Console(
            self.figures, self.usage, self.accounts, self.webhooks, loop_hooks.call_soon, wall, self._state
        )
        metrics = MetricsEndpoint(
            self.figures, AccountFigures(self.accounts, self.followed.is_current), ReloadFigures(self.last_reload),
            WebhookFigures(self.webhooks), CertificateFigures(self),
        )  # fmt: skip
        inspect = InspectEndpoint(console.inspector)
        operator = OperatorUrls(
            self.followed.editor,
            settings.admin_token_file,
            lambda: self.reload,
            AccountUsageEndpoint(self.accounts, self.engine.usage),
        )
        self.admin = Site(AdminRoot(
            self.why_not_ready, metrics, inspect, settings.admin_hosts, console.endpoints, root.find, operator,
            partial(why_not_whole, self.engine),
        ), reactor, most_connections=admin_connections())  # fmt: skip
        self._tasks = [
            PeriodicTask("heartbeats", 1, self.heartbeats.tick, reactor),
            PeriodicTask("idle time-outs, http", 1, self.http.idle.tick, reactor),
            PeriodicTask("idle time-outs, websocket", 1, self.websocket.idle.tick, reactor),
            PeriodicTask("idle time-outs, admin", 1, self.admin.idle.tick, reactor),
            PeriodicTask("unfinished messages", 1, context.begun.tick, reactor),
            PeriodicTask("webhooks", 1, self.webhooks.tick, reactor),
            PeriodicTask("expiry", EXPIRE_EVERY, self._expire, reactor),
            PeriodicTask("usage of accounts", USAGE_EVERY, self.engine.usage.report, reactor),
            PeriodicTask("samples of the console", EVERY, console.sampler.sample, reactor),
            PeriodicTask("refusals", LOG_REFUSALS, RefusalLog(self.usage, reactor.seconds).look, reactor),
            PeriodicTask("renewed certificates", POLL_CERTIFICATES, partial(poll_certificates, self), reactor),
        ]

    def why_not_ready(self) -> str | None:
        """Return the reason why this server should get no work, or None if it is ready."""
        if self._drain.has_begun:
            return "draining"
        return self.engine.why_not_ready() if self.accounts.is_complete else "accounts_unavailable"

    def _state(self) -> Mapping[str, object]:
        """Describe this server for the console."""
        return process_state(self, self.settings, self.engine.redis_health(), self.why_not_ready())

    @defer.inlineCallbacks
    def _expire(self) -> Generator["defer.Deferred[None]", object, None]:
        """Forget what is too old, one slice in each turn of the reactor, so that nothing else waits for long."""
        more = True
        while more:
            more = self.engine.expire()
            more = self.quota.expire(self._reactor.seconds()) or more
            if more:
                yield task.deferLater(cast("IReactorTime", self._reactor), 0)

    def startService(self) -> None:
        super().startService()
        self.engine.start()
        for periodic in self._tasks:
            periodic.start()

    def stopService(self) -> "defer.Deferred[None]":
        """Close the ports, drain, and then stop the rest. A listener that is still here is served to the end."""
        drained = cast("defer.Deferred[None]", super().stopService())
        return drained.addCallback(self._report_usage).addCallback(lambda _none: self._stop())

    def _report_usage(self, _results: object) -> "defer.Deferred[None]":
        """Write down the last usage of accounts. Ends also if Redis does not answer."""
        reported = self.engine.usage.report().addTimeout(LAST_REPORT, cast("IReactorTime", self._reactor))
        return reported.addErrback(_ignore_timeout)

    def _stop(self) -> None:
        for periodic in self._tasks:
            periodic.stop()
        self.webhooks.stop()
        self.engine.stop()
        if self.traces is not None:
            self.traces.stop()

    def read_certificates(self) -> None:
        """Read the certificates of the ports again."""
        read_certificates(self)

    def change_accounts(self, settings: Settings) -> None:
        """Replace the accounts by those of `settings`. Listeners of unchanged accounts notice nothing."""
        self.followed.replace(settings)
        self._accounts_changed()

    def _accounts_changed(self) -> None:
        self.membership.accounts_changed(self.accounts)
        self.webhooks.accounts_changed(self.accounts)

    def drain(
        self, close_ports: "Callable[[], defer.Deferred[object]]" = lambda: defer.succeed(None)
    ) -> "defer.Deferred[None]":
        """Send all listeners away, and serve until they are gone: see `Drain`. Fires at the end."""
        return self._drain.run(close_ports)


def _ignore_timeout(failure: Failure) -> None:
    failure.trap(defer.TimeoutError)
