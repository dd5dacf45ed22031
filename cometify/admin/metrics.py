"""/metrics on the admin endpoint: the figures of one server in Prometheus' text format.

The parts of the server count in plain integers, because that costs least where pushes pass (decision 0012). The figures are
read when a scrape asks for them. No label holds anything that a stranger can choose. With the setting `account_metrics` the
label `account` holds the API keys of the accounts, which the operator chooses.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from cometify import __version__
from cometify.admin.account_metrics import figures_of_accounts
from cometify.admin.families import counter as _counter
from cometify.admin.families import gauge as _gauge
from cometify.admin.families import histogram as _histogram
from cometify.admin.redis_metrics import of_redis
from cometify.core import errors
from cometify.core.histogram import Histogram
from cometify.core.identifier_page import TRANSPORTS
from cometify.core.usage import Usage
from cometify.delivery.fanout import FanOut
from cometify.delivery.heartbeats import HeartbeatWheel
from cometify.delivery.registry import Registry
from cometify.http.exchange import NO_SNIFF, Exchange, Headers
from cometify.http.idle_timeout import IdleTimeout
from cometify.http.site import Endpoint
from cometify.http.untrusted_proxies import UntrustedProxies
from cometify.interfaces import EngineStats, IEngine
from cometify.membership.membership import Membership
from cometify.runtime.connection_limits import ConnectionLimits
from cometify.runtime.left_peers import LEFT
from cometify.runtime.reactor_lag import ReactorLag
from cometify.transports.back_end import BackEnd
from cometify.transports.disconnect import DisconnectEndpoint
from cometify.transports.push import PushEndpoint

OPENMETRICS = "application/openmetrics-text"

# These labels are exposed from the start with a value of 0. Prometheus sees no increase in a series that begins with 1.
_PUSH_CODES = [
    code.name
    for code in (errors.NOT_AUTHORIZED, errors.SIGNATURE_REUSED, errors.TOO_MANY_PUSHES, errors.ENGINE_UNAVAILABLE)
]
_JOIN_CODES = [
    code.name
    for code in (errors.NOT_AUTHORIZED, errors.TOO_MANY_LISTENERS, errors.ENGINE_UNAVAILABLE, errors.OVERLOADED)
]
_BACK_END_CODES = [code.name for code in (errors.NOT_AUTHORIZED, errors.ENGINE_UNAVAILABLE)]
_STAYING = [name for name in TRANSPORTS if name != "poll"]
_END_CODES = [code.name for code in (errors.TOO_SLOW, errors.REPLACED, errors.NOT_AUTHORIZED)]


@attrs.frozen(eq=False)
class Figures(Collector):
    """Collects the figures of one server."""

    engine: IEngine
    registry: Registry
    fan_out: FanOut
    heartbeats: HeartbeatWheel
    membership: Membership
    push: PushEndpoint
    disconnect: DisconnectEndpoint
    back_end: BackEnd
    reactor_lag: ReactorLag
    idle: Sequence[IdleTimeout]
    limits: Sequence[ConnectionLimits]
    untrusted: UntrustedProxies
    why_not_ready: Callable[[], str | None]
    usage: Usage | None = None
    """The usage to tell for each account; None: nothing is told of accounts."""

    def collect(self) -> Iterator[Metric]:
        yield _gauge("build_info", "Always 1. The label is the version of Cometify.", {__version__: 1}, "version")
        yield _gauge("ready", "1 while /health/ready is 200, else 0.", int(self.why_not_ready() is None))
        stats = self.engine.stats()
        yield from of_redis(self.engine.redis_health())
        yield from self._of_pushes(stats)
        yield from self._of_listeners()
        yield from self._of_the_back_end()
        yield from self._of_stays()
        yield from self._of_the_fan_out()
        yield from self._of_waits(stats.latency)
        yield from self._of_connections()
        if self.usage is not None:
            yield from figures_of_accounts(self.usage, self.engine)

    def _of_pushes(self, stats: EngineStats) -> Iterator[Metric]:
        push = self.push
        yield _counter("pushes_accepted", "Accepted pushes.", push.accepted)
        yield _counter(
            "pushes_refused", "Refused pushes, by the code of the answer.", _all(_PUSH_CODES, push.refused), "code"
        )
        for kept, name, text in (
            (stats.total, "kept", "Pushes kept for replay, in this process or in Redis"),
            (stats.copies, "copied", "Copies that this process has of pushes in Redis"),
        ):
            yield _gauge(f"{name}_pushes", f"{text}.", None if kept is None else kept.pushes)
            yield _gauge(f"{name}_bytes", f"{text}: their bytes.", None if kept is None else kept.bytes)
        yield _gauge("identifiers_followed", "Identifiers that are listened to, or were a minute ago.", stats.followed)

    def _of_listeners(self) -> Iterator[Metric]:
        membership = self.membership
        yield _gauge("listeners", "Joined listeners.", _all(TRANSPORTS, self.registry.listeners()), "transport")
        yield _gauge(
            "listeners_stalled",
            "Listeners that do not read although something waits for them.",
            self.heartbeats.stalled,
        )
        yield _counter(
            "listeners_joined",
            "Joins. Each poll is one.",
            _all(TRANSPORTS, membership.joined),
            "transport",
        )
        yield _counter(
            "listeners_refused",
            "Listeners that asked to join and were refused, by the code that they were told.",
            _all(_JOIN_CODES, membership.refused),
            "code",
        )
        yield _counter(
            "listeners_ended",
            "Connected listeners that the server sent away, by the code that they were told.",
            _all(_END_CODES, membership.ended),
            "code",
        )

    def _of_stays(self) -> Iterator[Metric]:
        stays = self.membership.stays
        yield _counter(
            "listeners_resumed",
            "Joins that name a position. Polls are left out, because each but the first names one.",
            _all(_STAYING, stays.resumed),
            "transport",
        )
        yield _histogram(
            "listener_duration_seconds",
            "Time for which listeners on WebSockets, streams and event streams were joined. Observed when they leave.",
            stays.durations,
        )
        yield _histogram(
            "replay_bytes",
            "Bytes of pushes that a join may be owed that names a position or an internal id.",
            stays.replays,
        )

    def _of_the_back_end(self) -> Iterator[Metric]:
        yield _counter(
            "disconnects_refused",
            "Refused requests to disconnect, by the code of the answer.",
            _all(_BACK_END_CODES, self.disconnect.refused),
            "code",
        )
        yield _counter("lists_answered", "Answered requests for identifiers or kept pushes.", self.back_end.answered)
        yield _counter(
            "lists_refused",
            "Refused requests for identifiers or kept pushes, by the code of the answer.",
            _all([*_BACK_END_CODES, errors.OVERLOADED.name], self.back_end.refused),
            "code",
        )

    def _of_the_fan_out(self) -> Iterator[Metric]:
        fan_out = self.fan_out
        yield _counter(
            "deliveries",
            "Pushes that were written to listeners, counted once for each listener. Replay counts too.",
            fan_out.deliveries,
        )
        yield _counter(
            "delivered_bytes",
            "Bytes of these deliveries as they were written, before TLS.",
            fan_out.octets,
        )
        yield _counter("gaps", "Gaps that listeners were told.", fan_out.gaps)
        yield _counter(
            "heartbeats",
            "Heartbeats that were sent because they were due. Those at the end of a replay are not counted.",
            self.heartbeats.sent_count,
        )
        yield _histogram(
            "delivery_lag_seconds",
            "Time that the oldest push of a pass waited until it was written to all live listeners that are owed the same.",
            fan_out.lag,
        )

    def _of_waits(self, redis_latency: Histogram) -> Iterator[Metric]:
        yield _histogram("reactor_lag_seconds", "Lateness of a timer that is due once a second.", self.reactor_lag.lag)
        yield _gauge(
            "longest_turn_seconds",
            "Longest turn of the event loop within the last minute.",
            self.reactor_lag.longest_turn,
        )
        yield _histogram(
            "redis_latency_seconds",
            "Time from a command to the reply of Redis. Empty if there is no Redis.",
            redis_latency,
        )

    def _of_connections(self) -> Iterator[Metric]:
        yield _counter(
            "requests_too_slow",
            "Connections that were closed because a request had begun and did not go on.",
            sum(idle.slow for idle in self.idle),
        )
        yield _counter(
            "forwarded_ignored",
            "Requests of listeners whose X-Forwarded-For was ignored, because trusted_proxies does not name their peer.",
            self.untrusted.ignored,
        )
        yield _counter(
            "connections_refused",
            "Connections that were closed at once: connections_per_ip, the reserve of file descriptors, or served too late.",
            {
                "connections_per_ip": sum(limits.refused_address for limits in self.limits),
                "file_descriptors": sum(limits.refused_descriptors for limits in self.limits),
                "came_late": LEFT.count,
            },
            "bound",
        )


def _all(names: Iterable[str], figures: Mapping[str, int]) -> Mapping[str, int]:
    return {**dict.fromkeys(names, 0), **figures}


class MetricsEndpoint(Endpoint):
    """/metrics of a server that is one process: Prometheus' text format, or OpenMetrics if `Accept` names it."""

    methods = (b"GET", b"HEAD")

    def __init__(self, *figures: Collector) -> None:
        # The library's own registry is global, and a process may have several servers.
        self._registry = CollectorRegistry()
        for one in figures:
            self._registry.register(one)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def headers(self, request: Exchange) -> Headers:
        return NO_SNIFF

    def serve(self, request: Exchange) -> None:
        answer_figures(request, self._registry)


def answer_figures(request: Exchange, figures: Collector) -> None:
    """Answer with figures, in the format that the request accepts."""
    # The library gets the name of the format alone. It fails at a version that is not a number, and repeats any other.
    accepts = OPENMETRICS in (request.header("accept") or "")
    encode, content_type = choose_encoder(OPENMETRICS if accepts else "")
    request.answer(200, content_type.encode(), encode(figures))
