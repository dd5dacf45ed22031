"""Joins core, engine and transports. One screen: what a server is made of, and what happens when it starts and stops."""

import random
import signal
import time
import traceback
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any, cast

from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.internet import defer, task
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.admin.inspector import InspectEndpoint, Inspector
from cometify.admin.metrics import Figures, MetricsEndpoint
from cometify.admin.urls import AdminRoot
from cometify.admin.workers import Workers, WorkersInspect, WorkersMetrics
from cometify.app import banner
from cometify.app.options import Options
from cometify.config.accounts import Accounts
from cometify.config.settings import DEFAULT_FILE, Settings, SettingsError, doubts, need_a_restart
from cometify.core import listener_state
from cometify.core.quota import Quota
from cometify.delivery.fanout import FanOut
from cometify.delivery.heartbeats import HeartbeatWheel
from cometify.delivery.registry import Registry
from cometify.delivery.token_expiry import TokenExpiry
from cometify.engine.clock import engine_clock
from cometify.engine.memory import MemoryEngine
from cometify.http.site import Site
from cometify.interfaces import IEngine
from cometify.membership.membership import Membership
from cometify.runtime.epoll_loop import LoopHooks, install_direct_poll
from cometify.runtime.gc_pauses import keep_pauses_short
from cometify.runtime.ports import Ports, public_endpoints
from cometify.runtime.reactor_lag import ReactorLag
from cometify.runtime.supervisor import Supervisor
from cometify.runtime.tcp import EagerPort, EagerReactor
from cometify.transports.context import Context
from cometify.transports.push import PushEndpoint
from cometify.transports.urls import Root, WebSocketRoot

log = Logger()

EXPIRE_EVERY = 5
"""Seconds between two looks for what is too old."""


class Cometify(MultiService):
    """A server of which nothing listens yet.

    `clock`: the engine's, in microseconds. `wall`: Unix seconds, as set. `loop_hooks`: those of a reactor that has them.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        clock: Callable[[], int],
        wall: Callable[[], float] = time.time,
        loop_hooks: LoopHooks | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self._reactor = reactor
        self.accounts = Accounts(settings.accounts)
        loop_hooks = loop_hooks or LoopHooks(reactor.callLater)
        self.fan_out = FanOut(loop_hooks.call_soon)
        self.registry = Registry(self.fan_out.wake, self.fan_out.catch_up)
        self.engine = self._make_engine(clock)
        self.quota = Quota(None if self.engine.slots is None else self.engine.slots.leave)
        self.heartbeats = HeartbeatWheel(settings.heartbeat)
        self.token_expiry = TokenExpiry(reactor.callLater, wall)
        self.membership = Membership(
            self.engine, self.registry, self.quota, self.fan_out, self.heartbeats, self.token_expiry, reactor.seconds
        )
        self._context = context = Context(
            self.accounts,
            self.membership,
            self.fan_out,
            self.heartbeats,
            settings.trusted_proxies,
            reactor.callLater,
            reactor.seconds,
        )
        self.push = PushEndpoint(self.engine, self.registry, self.accounts, wall)
        self.http = Site(Root(self.push, context, reactor), reactor, loop_hooks.write_batch)
        self.websocket = Site(WebSocketRoot(context, reactor), reactor)
        self.reactor_lag = ReactorLag(reactor)
        self.reactor_lag.setServiceParent(self)
        self.figures = Figures(
            self.engine, self.registry, self.fan_out, self.heartbeats, self.membership, self.push, self.reactor_lag
        )
        inspect = InspectEndpoint(Inspector(self.engine, self.registry))
        self.admin = Site(AdminRoot(self.why_not_ready, MetricsEndpoint(self.figures), inspect), reactor)
        ticks = (self.heartbeats.tick, self.http.idle.tick, self.websocket.idle.tick, self.admin.idle.tick)
        self._every = [(1, task.LoopingCall(tick)) for tick in ticks]
        self._every.append((EXPIRE_EVERY, task.LoopingCall(self._expire)))

    def _make_engine(self, clock: Callable[[], int]) -> IEngine:
        if self.settings.redis is None:
            return MemoryEngine(clock, self.registry.announce)
        from cometify.engine.redis import RedisEngine  # noqa: PLC0415 - txredisapi chooses a reactor when it is imported

        return RedisEngine(
            self._reactor, self.settings.redis, self.settings.redis_wait, self.registry.announce, self.registry.lost
        )

    def why_not_ready(self) -> str | None:
        """Why no work should be sent here, or None."""
        if self.push.draining:
            return "draining"
        return None if self.engine.available else "engine_unavailable"

    def _expire(self) -> None:
        self.engine.expire()
        self.quota.expire(self._reactor.seconds())

    def startService(self) -> None:
        super().startService()
        self.engine.start()
        for seconds, call in self._every:
            call.clock = self._reactor
            self._keep(call, seconds)

    def _keep(self, call: task.LoopingCall, seconds: float) -> None:
        def failed(failure: Failure) -> None:
            log.failure("What is to be done every few seconds could not be done", failure)
            self._keep(call, seconds)

        call.start(seconds, now=False).addErrback(failed)

    def stopService(self) -> "defer.Deferred[None]":
        """The ports close, then the server drains, and then all else stops: who is still here is served to the end."""
        drained = cast("defer.Deferred[None]", super().stopService())
        return drained.addCallback(lambda _results: self._stop())

    def _stop(self) -> None:
        for _seconds, call in self._every:
            if call.running:
                call.stop()
        self.engine.stop()

    def change_accounts(self, settings: Settings) -> None:
        """From now on the accounts are those of `settings`; the listeners of the others notice nothing."""
        self.accounts.replace(settings.accounts)
        self.membership.accounts_changed(self.accounts)

    def _spread(self) -> int:
        """After how many milliseconds a listener comes back: not all at once."""
        return random.randint(0, self.settings.drain * 1000)

    @defer.inlineCallbacks
    def drain(self) -> Generator["defer.Deferred[None]", Any, None]:
        """Send everybody away and take nothing more. Fires when all are gone, or after the time that there is for it."""
        self.push.draining = True
        log.info("Draining: {total} listeners are sent away", total=len(self.membership))
        for silent in list(self._context.silent):
            silent.drain(self._spread())
        self.membership.drain(self._spread)
        until = self._reactor.seconds() + self.settings.drain
        while True:
            yield task.deferLater(self._reactor, 0.1)  # for what was written to leave
            if not (self._context.closing or self.push.under_way) or self._reactor.seconds() >= until:
                return


def build(
    settings: Settings, reactor: Any, clock: Callable[[], int] | None = None, loop_hooks: LoopHooks | None = None
) -> Cometify:
    """A server with its ports, to be started as a service. Raises `SettingsError`."""
    server = Cometify(settings, reactor, clock or engine_clock(), loop_hooks=loop_hooks)
    ports_of(server, reactor, EagerPort).setServiceParent(server)
    return server


def ports_of(server: Cometify, reactor: Any, port: type[EagerPort]) -> Ports:
    """The ports that a server is to be reached at. `port`: what listens on TCP. Raises `SettingsError`."""
    settings = server.settings
    sites = {"http": server.http, "websocket": server.websocket}
    ports = [(key, text, sites[key]) for key, text in public_endpoints(settings)]
    ports.append(("admin", settings.admin, server.admin))
    return Ports(EagerReactor(reactor, port), ports, server.drain)


def supervise(settings: Settings, reactor: Any, up: Callable[[], None]) -> Supervisor:
    """Several workers and their admin endpoint, to be started as a service. Raises `SettingsError`."""
    supervisor = Supervisor(settings, reactor, up)
    workers = Workers(reactor, supervisor)
    admin = Site(AdminRoot(workers.why_not_ready, WorkersMetrics(workers), WorkersInspect(workers)), reactor)
    Ports(EagerReactor(reactor), [("admin", settings.admin, admin)], supervisor.drain).setServiceParent(supervisor)
    TimerService(1, admin.idle.tick).setServiceParent(supervisor)
    return supervisor


def log_impossible(state: listener_state.State, event: listener_state.Event) -> None:
    """Log an impossible transition of a listener, with the way that led to it. The server goes on."""
    log.error(
        "Listener: {event} cannot happen in state {state}. The state stays. Please report this.\n"
        "Traceback (most recent call last):\n{stack}",
        event=event.name,
        state=state.name,
        stack="".join(traceback.format_stack()),
    )


def makeService(options: Options) -> MultiService:
    """What twistd runs."""
    listener_state.on_impossible = log_impossible
    from twisted.internet import reactor  # noqa: PLC0415 - the one place where a reactor is chosen

    # Twisted's timers follow the wall clock, and an hour's jump of that would fire or starve them all.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    settings = options.settings
    assert settings is not None
    greet = partial(banner.greet, settings)
    server: Cometify | Supervisor
    try:
        if settings.workers > 1:
            server = supervise(settings, reactor, greet)
        else:
            server = build(settings, reactor, loop_hooks=install_direct_poll(reactor))
            reactor.callWhenRunning(keep_pauses_short, reactor)
    except SettingsError as error:
        raise SystemExit(f"cometify: {error}") from None
    _warn_of(settings)
    _reload_on_hangup(server, options, reactor)
    reactor.addSystemEventTrigger("before", "shutdown", _end_once)
    if isinstance(server, Cometify):
        reactor.callWhenRunning(greet)  # last: who reads it may send signals
    return server


def _warn_of(settings: Settings) -> None:
    for doubt in doubts(settings):
        log.warn("{doubt}", doubt=doubt)  # noqa: G010 - Twisted's


def _end_once() -> None:
    """The server drains, and that ends by itself. Twisted takes a second signal for an error."""
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, signal.SIG_IGN)


def _reload_on_hangup(server: Cometify | Supervisor, options: Options, reactor: Any) -> None:
    def reload() -> None:
        try:
            settings = options.load()
        except SettingsError as error:
            log.error(  # noqa: TRY400 - the reason is in the line
                "Not read again: {error} Nothing has changed.", error=str(error)
            )
            return
        if settings.made_up:
            log.error("Not read again: there is no {file}. Nothing has changed.", file=Path(DEFAULT_FILE).absolute())
            return
        server.change_accounts(settings)
        log.info("Accounts read again: {count}", count=len(settings.accounts))
        _warn_of(settings)
        assert options.settings is not None
        others = need_a_restart(options.settings, settings)
        if others:
            log.warn(  # noqa: G010 - Twisted's
                "Of the settings only accounts are read again: a restart is needed for {keys}", keys=", ".join(others)
            )

    def install() -> None:
        signal.signal(signal.SIGHUP, lambda *_args: reactor.callFromThread(reload))

    reactor.callWhenRunning(install)
