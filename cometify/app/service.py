"""The service that twistd runs: a server with its ports, or a supervisor with several workers."""

import os
import signal
import time
from collections.abc import Callable
from typing import cast

from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.logger import Logger

from cometify.accounts.followed_accounts import FollowedAccounts
from cometify.admin.account_figures import ReloadFigures
from cometify.admin.operator_urls import OperatorUrls
from cometify.admin.urls import AdminRoot
from cometify.admin.usage_endpoint import AccountUsageEndpoint
from cometify.admin.worker_client import WorkerClient
from cometify.admin.workers import WorkersInspect, WorkersMetrics
from cometify.admin.workers_console import WorkersAction, workers_console_endpoints
from cometify.app import banner
from cometify.app.impossible import log_impossible_transitions
from cometify.app.log_format import with_log_format
from cometify.app.options import Options
from cometify.app.readiness import when_ready
from cometify.app.reload import reload_on_hangup, warn_of_doubts
from cometify.app.server import POLL_CERTIFICATES, Cometify
from cometify.config.checks import check_account_store
from cometify.config.settings import Settings, SettingsError
from cometify.engine.clock import engine_clock
from cometify.http.site import Site
from cometify.runtime.connection_counts import ConnectionShare
from cometify.runtime.connection_limits import admin_connections
from cometify.runtime.descriptors import raise_limit
from cometify.runtime.eager_reactor import EagerReactor
from cometify.runtime.epoll_loop import LoopHooks, install_direct_poll
from cometify.runtime.gc_pauses import keep_pauses_short
from cometify.runtime.inherited_sockets import InheritedSockets
from cometify.runtime.name_lookup import PluggableReactor, look_up_in_own_threads
from cometify.runtime.ports import ADMIN, Ports, is_behind_proxies, poll_certificates, public_endpoints
from cometify.runtime.reactor import Reactor
from cometify.runtime.supervisor import Supervisor
from cometify.runtime.systemd import Systemd
from cometify.transports.back_end import KeptPushesEndpoint
from cometify.transports.push import PushEndpoint

log = Logger()

WAIT_FOR_ACCOUNTS = 3.0
"""Seconds for which connections wait at the start until the accounts are known."""


def build(
    settings: Settings,
    reactor: Reactor,
    clock: Callable[[], int] | None = None,
    loop_hooks: LoopHooks | None = None,
    inherited: InheritedSockets | None = None,
) -> Cometify:
    """Make a server with its ports, to be started as a service. Raises `SettingsError`."""
    server = Cometify(settings, reactor, clock or engine_clock(), loop_hooks=loop_hooks)

    def hold(accept: Callable[[], None]) -> None:
        """Hold connections back until the accounts of Redis are known, so that nobody is refused because of the start."""

        def why_not() -> str | None:
            return None if server.accounts.is_complete else "accounts_unavailable"

        when_ready(reactor, why_not, accept, reactor.seconds() + WAIT_FOR_ACCOUNTS)

    ports_of(server, reactor, None, inherited, hold).setServiceParent(server)
    return server


def ports_of(
    server: Cometify,
    reactor: Reactor,
    share: ConnectionShare | None,
    inherited: InheritedSockets | None = None,
    hold: Callable[[Callable[[], None]], object] | None = None,
) -> Ports:
    """Make the ports of a server. Raises `SettingsError`.

    `share`: the count of a worker's connections, None outside of workers. `hold`: see `Ports`.
    """
    settings = server.settings
    sites = {"http": server.http, "websocket": server.websocket}
    ports = [(key, text, sites[key]) for key, text in public_endpoints(settings)]
    ports.append(("admin", settings.admin, server.admin))
    reactors = {
        "admin": EagerReactor(reactor, None, server.limits_of_admin, inherited, is_prompt=True),
        "clients": EagerReactor(reactor, share, server.limits, inherited),
        "proxies": EagerReactor(reactor, share, server.limits_of_proxies, inherited),
    }

    def reactor_for(key: str, text: str) -> EagerReactor:
        return reactors["admin" if key == ADMIN else "proxies" if is_behind_proxies(text) else "clients"]

    return Ports(reactor_for, ports, server.drain, hold)


def supervise(settings: Settings, reactor: Reactor, up: Callable[[], None], inherited: InheritedSockets) -> Supervisor:
    """Make a supervisor with its admin endpoint, to be started as a service. Raises `SettingsError`.

    `up`: called when the first worker is ready.
    """
    supervisor = Supervisor(settings, reactor, up, inherited=inherited)
    workers = WorkerClient(reactor, supervisor)
    followed = FollowedAccounts(settings, supervisor.accounts, lambda: None, reactor)
    followed.setServiceParent(supervisor)
    supervisor.replace_accounts = followed.replace
    root = AdminRoot(
        workers.why_not_ready,
        WorkersMetrics(workers, ReloadFigures(supervisor.last_reload)),
        WorkersInspect(workers),
        settings.admin_hosts,
        workers_console_endpoints(workers),
        lambda path: WorkersAction(workers, PushEndpoint if path[1] == "push" else KeptPushesEndpoint),
        OperatorUrls(
            followed.editor,
            settings.admin_token_file,
            lambda: supervisor.reload,
            WorkersAction(workers, AccountUsageEndpoint),
        ),
    )
    admin = Site(root, reactor, most_connections=admin_connections())
    ports = [("admin", settings.admin, admin)]
    Ports(lambda _key, _text: EagerReactor(reactor, inherited=inherited), ports, supervisor.drain).setServiceParent(
        supervisor
    )
    TimerService(1, admin.idle.tick).setServiceParent(supervisor)
    TimerService(POLL_CERTIFICATES, poll_certificates, supervisor).setServiceParent(supervisor)
    return supervisor


def makeService(options: Options) -> MultiService:
    """Make the service that twistd runs. Ends the process with one line for settings that cannot be used."""
    from twisted.internet import reactor as chosen  # noqa: PLC0415 - Importing it chooses a reactor, and only here it may.

    log_impossible_transitions()
    reactor = cast("PluggableReactor", chosen)
    look_up_in_own_threads(reactor)
    # Twisted's timers follow the wall clock. A jump of an hour would fire them all, or none.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    settings = options.settings
    assert settings is not None
    raise_limit()
    server: Cometify | Supervisor

    def up() -> None:
        banner.greet(settings)
        systemd.ready()

    def is_well() -> bool:
        return isinstance(server, Cometify) or server.draining or server.answers()

    systemd = Systemd(reactor, os.environ, is_well)
    try:
        inherited = InheritedSockets.of_systemd()
        if settings.account_store is not None:
            check_account_store(settings.account_store)
        if settings.workers > 1:
            server = supervise(settings, reactor, up, inherited)
        else:
            server = build(settings, reactor, loop_hooks=install_direct_poll(reactor), inherited=inherited)
            reactor.callWhenRunning(keep_pauses_short, reactor)
    except SettingsError as error:
        raise SystemExit(f"cometify: {error}") from None
    warn_of_doubts(settings)
    reactor.callWhenRunning(_warn_of_unused, inherited, settings)
    reload_on_hangup(server, options, reactor, systemd)
    reactor.addSystemEventTrigger("before", "shutdown", _ignore_more_signals)
    reactor.addSystemEventTrigger("before", "shutdown", systemd.stopping)
    reactor.callWhenRunning(systemd.start)
    if isinstance(server, Cometify):
        # The last call, because a reader of the banner may send signals.
        reactor.callWhenRunning(when_ready, reactor, server.why_not_ready, up)
    return with_log_format(server, settings.log_format, options.parent)


def _warn_of_unused(inherited: InheritedSockets, settings: Settings) -> None:
    """Log the addresses of inherited sockets that no endpoint uses."""
    texts = [text for _key, text in public_endpoints(settings)]
    if not any("systemd:" in text for text in (*texts, settings.admin)):  # Twisted finds its sockets by their number
        for address in inherited.unused():
            log.error(
                "A socket was passed to Cometify that listens on {address}, and no endpoint has this address. Its connections "
                "would wait for ever. Name the same address in ListenStream= and in http, websocket or admin.",
                address=address,
            )


def _ignore_more_signals() -> None:
    """Ignore signals while the server drains, because Twisted treats a second one as an error. Draining ends by itself."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
