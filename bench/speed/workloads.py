"""The works: what is done to each server, as arguments of the generator, and which figures are read from its answer."""

from dataclasses import dataclass

from bench.speed import figures
from bench.speed.figures import Figure
from bench.speed.servers.debian import KEPT
from bench.speed.servers.server import Server

QUICK = 5
"""A quick run has so many times fewer listeners and pushes."""


@dataclass(frozen=True)
class Load:
    """What is published: so many texts of 100 bytes at a rate, or for some seconds as fast as the server allows.

    `rate`: pushes a second; `in_flight`: so many pushes are at most on their way to the listeners.
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
    """So many pushes a second."""
    return Load(pushes=rate * seconds, rate=rate, warmup=max(5, rate // 2))


def saturating(in_flight: int, seconds: int = 3) -> Load:
    """The next push as soon as fewer than this many are on their way."""
    return Load(pushes=50_000, seconds=seconds, warmup=20, in_flight=in_flight)


def back_to_back(connections: int) -> Load:
    """The next push on a connection as soon as the one before is answered."""
    return Load(pushes=2_000_000, seconds=3, warmup=200, connections=connections)


@dataclass(frozen=True)
class Meanwhile:
    """What a second generator does on another identifier, from before the measurement until after it."""

    listeners: int
    load: Load

    def arguments(self, quick: bool) -> list[str]:
        count = self.listeners // QUICK if quick else self.listeners
        return ["-n", str(count), "--tell", *self.load.arguments(False)]


@dataclass(frozen=True)
class Work:
    """A work: so many listeners, joined in one way, and what is published to them.

    `answers`: it measures the answer to a publisher, and is not for servers that give none; `kept`: pushes published
    before; `identifiers`: over how many the load is spread; `at_once`: handshakes at once; `plain`: the work whose first
    figure this one's is a multiple of; `overview`: so many of its figures stand in the overview.
    """

    name: str
    title: str
    way: str
    listeners: int
    load: Load
    figures: tuple[Figure, ...]
    answers: bool = False
    kept: int = 0
    identifiers: int = 1
    at_once: int = 128
    meanwhile: Meanwhile | None = None
    plain: str = ""
    overview: int = 1

    def takes(self, server: Server) -> bool:
        """Whether this server can do it."""
        if self.answers and "--pub-ws" in server.publish:
            return False
        if (self.meanwhile or self.identifiers > 1) and not server.several:
            return False
        return self.way in server.listen

    @property
    def identifier(self) -> str:
        """The identifier, as a template of the generator."""
        return "bench{ch}" if self.identifiers > 1 else "bench"

    def arguments(self, quick: bool) -> list[str]:
        """Listeners and load."""
        count = self.listeners and max(1, self.listeners // (QUICK if quick else 1))
        settle = "1500" if self.load is NOTHING else "300"
        where = ["-n", str(count), "--channels", str(self.identifiers), "--concurrency", str(self.at_once)]
        return [*where, "--settle", settle, *self.load.arguments(quick)]


_DELIVERY = (figures.CPU, figures.P50, figures.P99)
_SATURATION = (figures.CPU, figures.DELIVERIES, figures.P50, figures.P99)
_PUBLISHING = (figures.CPU_OF_PUSH, figures.PUSHES, figures.ANSWER_P99)
_JOINING = (figures.LISTENER_BYTES, figures.CPU_OF_JOIN, figures.JOINS, figures.KERNEL_BYTES)
_REJOINING = (figures.CPU_OF_JOIN, figures.JOINS, figures.REPLAYED, figures.ANSWER_P99_MEANWHILE)

_ALL = (
    Work("fanout-1000", "1,000 WebSockets, 20 pushes/s", "websocket", 1000, steadily(20, 4), _DELIVERY),
    Work("fanout-5000", "5,000 WebSockets, 5 pushes/s", "websocket", 5000, steadily(5, 5), _DELIVERY),
    Work(
        "tls-1000", "1,000 WebSockets over TLS, 20 pushes/s", "tls", 1000, steadily(20, 4), _DELIVERY,
        plain="fanout-1000",
    ),
    Work("saturation-8", "1,000 WebSockets, 8 pushes in flight", "websocket", 1000, saturating(8), _SATURATION),
    Work("saturation-64", "1,000 WebSockets, 64 pushes in flight", "websocket", 1000, saturating(64), _SATURATION),
    Work(
        "small-beside", "10 WebSockets, 50 pushes/s, beside 1,000 on another identifier with 8 pushes in flight",
        "websocket", 10, steadily(50, 4), (figures.P50, figures.P99, figures.DELIVERIES_MEANWHILE),
        meanwhile=Meanwhile(1000, saturating(8, 60)),
    ),
    Work("publish-1", "publishing, one at a time", "websocket", 1, back_to_back(1), _PUBLISHING, answers=True),
    Work("publish-16", "publishing over 16 connections", "websocket", 1, back_to_back(16), _PUBLISHING, answers=True),
    Work(
        "poll-1000", "1,000 long polls, 10 pushes/s, the next request included", "poll", 1000, steadily(10, 5), _DELIVERY,
    ),
    Work("stream-1000", "1,000 streams, 20 pushes/s", "stream", 1000, steadily(20, 4), _DELIVERY),
    Work("events-1000", "1,000 event streams, 20 pushes/s", "events", 1000, steadily(20, 4), _DELIVERY),
    Work("idle-10000", "10,000 WebSockets join and stay idle", "websocket", 10_000, NOTHING, _JOINING, overview=2),
    Work("idle-stream-10000", "10,000 streams join and stay idle", "stream", 10_000, NOTHING, _JOINING),
    Work("idle-events-10000", "10,000 event streams join and stay idle", "events", 10_000, NOTHING, _JOINING),
    Work(
        "idle-poll-10000", "10,000 long polls wait", "poll", 10_000, NOTHING,
        (figures.LISTENER_BYTES, figures.KERNEL_BYTES),  # the generator does not see when a poll waits
    ),
    Work(
        "rejoin-10000", f"10,000 WebSockets come back at once and are sent {KEPT} kept pushes each", "rejoin", 10_000,
        NOTHING, _REJOINING, kept=KEPT, at_once=10_000, meanwhile=Meanwhile(0, steadily(50, 60)), overview=2,
    ),
    Work(
        "kept-full", "20,000 pushes kept: 1,000 on each of 20 identifiers", "kept", 0, Load(pushes=20_000),
        (figures.PUSH_BYTES,), kept=KEPT, identifiers=20,
    ),
    Work(
        "kept-thin", "20,000 pushes kept: one on each of 20,000 identifiers", "kept", 0, Load(pushes=20_000),
        (figures.PUSH_BYTES,), kept=KEPT, identifiers=20_000,
    ),
    Work(
        "kept-over", "20,000 pushes to one identifier beyond the 1,000 that are kept", "kept", 0, Load(pushes=20_000),
        (figures.PUSH_BYTES,), kept=1000,
    ),
)  # fmt: skip
WORKS = {work.name: work for work in _ALL}
