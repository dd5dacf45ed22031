"""The works: what is done to each server, as arguments of the generator, and which figures are read from its answer."""

from dataclasses import dataclass
from typing import Any

from bench.servers import KEPT, Server

QUICK = 5  # a quick run has a fifth of the listeners


@dataclass(frozen=True)
class Figure:
    """A figure of a work: where it stands in the generator's answer, and how it is shown."""

    path: str
    label: str
    unit: str
    scale: float = 1.0
    digits: int = 1
    more_is_better: bool = False
    floor: bool = True  # whether a ratio to the floor says anything

    def of(self, answer: dict[str, Any]) -> float:
        value: Any = answer
        for key in self.path.split("."):
            value = value[key]
        return float(value) * self.scale


@dataclass(frozen=True)
class Growth(Figure):
    """What the process has grown by for each listener: resident pages, for those do not change with what others share.

    A share of the pages (PSS) would: any other process that begins or ends with the same libraries moves it by megabytes.
    """

    def of(self, answer: dict[str, Any]) -> float:
        return float(answer["rss1_kb"] - answer["rss0_kb"]) * 1024 / float(answer["n"]) * self.scale


CPU = Figure("cpu_us_per_delivery", "CPU per delivery", "µs", digits=2)
P50 = Figure("lat_us.p50", "p50", "ms", 0.001)
P99 = Figure("lat_us.p99", "p99", "ms", 0.001)
DELIVERIES = Figure("deliveries_per_s", "deliveries", "k/s", 0.001, 0, more_is_better=True)
CPU_OF_PUSH = Figure("cpu_us_per_publish", "CPU per push", "µs")
PUSHES = Figure("publishes_per_s", "pushes", "/s", digits=0, more_is_better=True)
ANSWER_P99 = Figure("pub_lat_us.p99", "answer p99", "ms", 0.001, 2)
BYTES = Growth("rss1_kb", "memory per idle listener", "kB", 0.001, 2, floor=False)
JOINS = Figure("connect_per_s", "joins", "/s", digits=0, more_is_better=True)


@dataclass(frozen=True)
class Load:
    """What is published: so many messages of 100 bytes at a rate, or for some seconds as fast as the server allows."""

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


def saturating(in_flight: int) -> Load:
    """The next push as soon as fewer than this many are on their way."""
    return Load(pushes=50_000, seconds=3, warmup=20, in_flight=in_flight)


def back_to_back(connections: int) -> Load:
    """The next push on a connection as soon as the one before is answered."""
    return Load(pushes=2_000_000, seconds=3, warmup=200, connections=connections)


@dataclass(frozen=True)
class Work:
    """A work: so many listeners, joined in one way, and what is published meanwhile."""

    name: str
    title: str
    way: str
    listeners: int
    load: Load
    figures: tuple[Figure, ...]
    answers: bool = False  # it measures the answer to a publisher: not for servers that give none
    kept: int = 0  # messages published before the listeners come
    overview: int = 1  # so many of its figures stand in the overview

    def takes(self, server: Server) -> bool:
        return self.way in server.listen and not (self.answers and "--pub-ws" in server.publish)

    def arguments(self, quick: bool) -> list[str]:
        """Listeners and load."""
        count = max(1, self.listeners // QUICK) if quick else self.listeners
        return ["-n", str(count), "--settle", "1500" if self.load is NOTHING else "300", *self.load.arguments(quick)]


_ALL = (
    Work("fanout-1000", "1,000 WebSockets, 20 pushes/s", "websocket", 1000, steadily(20, 4), (CPU, P50, P99)),
    Work("fanout-5000", "5,000 WebSockets, 5 pushes/s", "websocket", 5000, steadily(5, 5), (CPU, P50, P99)),
    Work(
        "saturation-8", "1,000 WebSockets, 8 pushes in flight", "websocket", 1000,
        saturating(8), (CPU, DELIVERIES, P50, P99),
    ),
    Work(
        "saturation-64", "1,000 WebSockets, 64 pushes in flight", "websocket", 1000,
        saturating(64), (CPU, DELIVERIES, P50, P99),
    ),
    Work(
        "publish-1", "publishing, one at a time", "websocket", 1,
        back_to_back(1), (CPU_OF_PUSH, PUSHES, ANSWER_P99), answers=True,
    ),
    Work(
        "publish-16", "publishing over 16 connections", "websocket", 1,
        back_to_back(16), (CPU_OF_PUSH, PUSHES, ANSWER_P99), answers=True,
    ),
    Work(
        "poll-1000", "1,000 long polls, 10 pushes/s, the next request included", "poll", 1000,
        steadily(10, 5), (CPU, P50, P99),
    ),
    Work("stream-1000", "1,000 streams, 20 pushes/s", "stream", 1000, steadily(20, 4), (CPU, P50, P99)),
    Work("events-1000", "1,000 event streams, 20 pushes/s", "events", 1000, steadily(20, 4), (CPU, P50, P99)),
    Work("idle-10000", "10,000 WebSockets join and stay idle", "websocket", 10000, NOTHING, (BYTES, JOINS), overview=2),
    Work(
        "replay-2000", "2,000 WebSockets join and are sent 100 kept pushes each", "replay", 2000,
        NOTHING, (JOINS,), kept=KEPT,
    ),
)  # fmt: skip
WORKS = {work.name: work for work in _ALL}
