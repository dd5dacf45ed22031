"""The workloads: arguments of the load generator, and the figures that are read from its answer."""

from dataclasses import dataclass

from bench.speed import figures
from bench.speed.figures import Figure
from bench.speed.servers.debian import KEPT
from bench.speed.servers.server import Server

QUICK = 5
"""The factor by which a quick run has fewer listeners and pushes."""


@dataclass(frozen=True)
class Load:
    """The pushes of a workload, with texts of 100 bytes.

    They come at `rate` a second, or for `seconds` as fast as the server allows. `in_flight` is the most pushes that may be
    on their way to the listeners.
    """

    pushes: int = 0
    rate: int = 0
    warmup: int = 0
    seconds: int = 0
    connections: int = 1
    in_flight: int = 0

    def arguments(self, quick: bool) -> list[str]:
        less = QUICK if quick and not self.seconds else 1
        numbers = {
            "-s": 100,
            "-m": self.pushes // less,
            "-r": self.rate,
            "--warmup": self.warmup,
            "--pub-secs": 1 if quick and self.seconds else self.seconds,
            "--pub-conns": self.connections,
            "--window": self.in_flight,
        }
        return [text for option, number in numbers.items() for text in (option, str(number))]


NOTHING = Load()


def steadily(rate: int, seconds: int) -> Load:
    """Return a load of so many pushes a second."""
    return Load(pushes=rate * seconds, rate=rate, warmup=max(5, rate // 2))


def saturating(in_flight: int, seconds: int = 3) -> Load:
    """Return a load that pushes as soon as fewer than this many pushes are on their way."""
    return Load(pushes=50_000, seconds=seconds, warmup=20, in_flight=in_flight)


def back_to_back(connections: int) -> Load:
    """Return a load that pushes on each connection as soon as the last push is answered."""
    return Load(pushes=2_000_000, seconds=3, warmup=200, connections=connections)


@dataclass(frozen=True)
class BackgroundLoad:
    """The work of a second generator on another identifier, from before the measurement until after it."""

    listeners: int
    load: Load

    def arguments(self, quick: bool) -> list[str]:
        count = self.listeners // QUICK if quick else self.listeners
        return ["-n", str(count), "--tell", *self.load.arguments(False)]


@dataclass(frozen=True)
class Workload:
    """A workload: a number of listeners on one transport, and the pushes to them.

    With `answers` it measures the answer to a publisher, and servers that give none have no part in it. `kept` pushes are
    published before the listeners come. The load is spread over so many `identifiers`. `concurrency` is the number of
    handshakes at once. `plain` names the workload that the first figure is compared with. The first `overview` figures
    stand in the overview.
    """

    name: str
    title: str
    transport: str
    listeners: int
    load: Load
    figures: tuple[Figure, ...]
    answers: bool = False
    kept: int = 0
    identifiers: int = 1
    concurrency: int = 128
    background: BackgroundLoad | None = None
    plain: str = ""
    overview: int = 1

    def runs_on(self, server: Server) -> bool:
        """True if a server can run this workload."""
        if self.answers and "--pub-ws" in server.publish:
            return False
        if (self.background or self.identifiers > 1) and not server.many_identifiers:
            return False
        return self.transport in server.listen

    @property
    def identifier(self) -> str:
        """The identifier as a template of the generator."""
        return "bench{ch}" if self.identifiers > 1 else "bench"

    def arguments(self, quick: bool) -> list[str]:
        """Return the generator's arguments for listeners and load."""
        count = self.listeners and max(1, self.listeners // (QUICK if quick else 1))
        settle = "1500" if self.load is NOTHING else "300"
        where = ["-n", str(count), "--channels", str(self.identifiers), "--concurrency", str(self.concurrency)]
        return [*where, "--settle", settle, *self.load.arguments(quick)]


_DELIVERY = (figures.CPU, figures.P50, figures.P99)
_SATURATION = (figures.CPU, figures.DELIVERIES, figures.P50, figures.P99)
_PUBLISHING = (figures.CPU_OF_PUSH, figures.PUSHES, figures.ANSWER_P99)
_JOINING = (figures.LISTENER_BYTES, figures.CPU_OF_JOIN, figures.JOINS, figures.KERNEL_BYTES)
_REJOINING = (figures.CPU_OF_JOIN, figures.JOINS, figures.REPLAYED, figures.ANSWER_P99_MEANWHILE)

_ALL = (
    Workload("fanout-1000", "1,000 WebSockets, 20 pushes/s", "websocket", 1000, steadily(20, 4), _DELIVERY),
    Workload("fanout-5000", "5,000 WebSockets, 5 pushes/s", "websocket", 5000, steadily(5, 5), _DELIVERY),
    Workload(
        "tls-1000", "1,000 WebSockets over TLS, 20 pushes/s", "tls", 1000, steadily(20, 4), _DELIVERY,
        plain="fanout-1000",
    ),
    Workload("saturation-8", "1,000 WebSockets, 8 pushes in flight", "websocket", 1000, saturating(8), _SATURATION),
    Workload("saturation-64", "1,000 WebSockets, 64 pushes in flight", "websocket", 1000, saturating(64), _SATURATION),
    Workload(
        "small-beside", "10 WebSockets, 50 pushes/s, beside 1,000 on another identifier with 8 pushes in flight",
        "websocket", 10, steadily(50, 4), (figures.P50, figures.P99, figures.DELIVERIES_MEANWHILE),
        background=BackgroundLoad(1000, saturating(8, 60)),
    ),
    Workload("publish-1", "publishing, one at a time", "websocket", 1, back_to_back(1), _PUBLISHING, answers=True),
    Workload("publish-16", "publishing over 16 connections", "websocket", 1, back_to_back(16), _PUBLISHING, answers=True),
    Workload(
        "poll-1000", "1,000 long polls, 10 pushes/s, the next request included", "poll", 1000, steadily(10, 5), _DELIVERY,
    ),
    Workload("stream-1000", "1,000 streams, 20 pushes/s", "stream", 1000, steadily(20, 4), _DELIVERY),
    Workload("events-1000", "1,000 event streams, 20 pushes/s", "events", 1000, steadily(20, 4), _DELIVERY),
    Workload("idle-10000", "10,000 WebSockets join and stay idle", "websocket", 10_000, NOTHING, _JOINING, overview=2),
    Workload("idle-stream-10000", "10,000 streams join and stay idle", "stream", 10_000, NOTHING, _JOINING),
    Workload("idle-events-10000", "10,000 event streams join and stay idle", "events", 10_000, NOTHING, _JOINING),
    Workload(
        "idle-poll-10000", "10,000 long polls wait", "poll", 10_000, NOTHING,
        # No cost of joining: the generator does not see when a poll has begun to wait.
        (figures.LISTENER_BYTES, figures.KERNEL_BYTES),
    ),
    Workload(
        "rejoin-10000", f"10,000 WebSockets come back at once and are sent {KEPT} kept pushes each", "rejoin", 10_000,
        NOTHING, _REJOINING, kept=KEPT, concurrency=10_000, background=BackgroundLoad(0, steadily(50, 60)), overview=2,
    ),
    Workload(
        "kept-full", "20,000 pushes kept: 1,000 on each of 20 identifiers", "kept", 0, Load(pushes=20_000),
        (figures.PUSH_BYTES,), kept=KEPT, identifiers=20,
    ),
    Workload(
        "kept-thin", "20,000 pushes kept: one on each of 20,000 identifiers", "kept", 0, Load(pushes=20_000),
        (figures.PUSH_BYTES,), kept=KEPT, identifiers=20_000,
    ),
    Workload(
        "kept-over", "20,000 pushes to one identifier beyond the 1,000 that are kept", "kept", 0, Load(pushes=20_000),
        (figures.PUSH_BYTES,), kept=1000,
    ),
)  # fmt: skip
WORKLOADS = {workload.name: workload for workload in _ALL}
