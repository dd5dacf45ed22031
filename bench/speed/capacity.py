"""What a server needs for so many listeners: arithmetic on the medians of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.speed import figures
from bench.speed.figures import Figure
from bench.speed.report import line
from bench.speed.servers.cometify import COMETIFY
from bench.speed.summary import Result

MISSING = "not measured"
_US = 1e-6
_LISTENERS = (10_000, 1_000_000, 100_000_000)


@dataclass(frozen=True)
class Constant:
    """A measured constant: what it is, the work and figure that it is the median of, and what it is multiplied by."""

    meaning: str
    work: str
    figure: Figure
    scale: float = 1.0


CONSTANTS = {
    "delivery": Constant("CPU per delivery, steady", "fanout-1000", figures.CPU),
    "joined": Constant("CPU per delivery, many pushes in one send()", "saturation-8", figures.CPU),
    "tls": Constant("CPU per delivery over TLS, steady", "tls-1000", figures.CPU),
    "push": Constant("CPU per push: HTTP, signature, keeping, one delivery", "publish-16", figures.CPU_OF_PUSH),
    "join": Constant("CPU per join with 100 pushes to replay", "rejoin-10000", figures.CPU_OF_JOIN),
    "websocket": Constant("memory of an idle WebSocket", "idle-10000", figures.LISTENER_BYTES),
    "stream": Constant("memory of an idle stream", "idle-stream-10000", figures.LISTENER_BYTES),
    "events": Constant("memory of an idle event stream", "idle-events-10000", figures.LISTENER_BYTES),
    "poll": Constant("memory of a waiting poll", "idle-poll-10000", figures.LISTENER_BYTES),
    "kernel": Constant("the kernel's share of a WebSocket, our end", "idle-10000", figures.KERNEL_BYTES, 0.5),
    "kept": Constant("memory of a kept push of 100 bytes", "kept-full", figures.PUSH_BYTES),
    "identifier": Constant("the same, with an identifier of its own", "kept-thin", figures.PUSH_BYTES),
    "over": Constant("memory of a push that is no longer kept, for ten minutes", "kept-over", figures.PUSH_BYTES),
}


def measured(results: Sequence[Result]) -> dict[str, float]:
    """The constants that were measured, each in its figure's unit."""
    medians = {
        (result.work.name, value.figure.path): value.median
        for result in results
        if (row := result.row(COMETIFY.name))
        for value in row.values
    }
    return {
        name: medians[constant.work, constant.figure.path] * constant.scale
        for name, constant in CONSTANTS.items()
        if (constant.work, constant.figure.path) in medians
    }


def constants_table(values: Mapping[str, float]) -> str:
    """Each constant, its value and where it comes from."""
    lines = [line(["constant", "value", "work"]), line(["---", "---:", "---"])]
    for name, constant in CONSTANTS.items():
        figure = constant.figure
        shown = f"{values[name]:,.{figure.digits}f} {figure.unit}" if name in values else MISSING
        lines.append(line([constant.meaning, shown, constant.work]))
    return "\n".join(lines)


@dataclass(frozen=True)
class Use:
    """How listeners behave. Seconds between two pushes to a listener, two heartbeats, two joins; listeners of a push."""

    listeners: int
    pushed_every: float = 10
    heartbeat: float = 25
    joins_every: float = 300
    fan_out: int = 100

    @property
    def deliveries(self) -> float:
        """Pushes and heartbeats that go out in a second."""
        return self.listeners / self.pushed_every + self.listeners / self.heartbeat

    @property
    def pushes(self) -> float:
        """Pushes that come in in a second."""
        return self.listeners / self.pushed_every / self.fan_out

    @property
    def joins(self) -> float:
        """Joins in a second."""
        return self.listeners / self.joins_every


def cores(use: Use, values: Mapping[str, float], delivery: str = "delivery") -> float:
    """CPU in cores; `delivery`: the constant that a delivery costs. Raises KeyError where one was not measured."""
    return _US * (use.deliveries * values[delivery] + use.pushes * values["push"] + use.joins * values["join"])


def gigabytes(use: Use, values: Mapping[str, float]) -> float:
    """Memory of WebSockets, the kernel's included. Raises KeyError where it was not measured."""
    return use.listeners * (values["websocket"] + values["kernel"]) / 1e6


def megabits(use: Use, size: int = 360) -> float:
    """What goes through the network card in a second; `size`: bytes of a delivery with all headers, and of its ACK."""
    return use.deliveries * size * 8 / 1e6


def _shown(value: float) -> str:
    return f"{value:,.2f}" if value < 1 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def worked_table(values: Mapping[str, float]) -> str:
    """The needs of 10 thousand, 1 million and 100 million listeners."""
    heads = ["listeners", "deliveries/s", "pushes/s", "joins/s", "cores", "cores with TLS", "memory, GB", "Mbit/s"]
    lines = [line(heads), line(["---:"] * len(heads))]
    for use in map(Use, _LISTENERS):
        rates = [f"{rate:,.0f}" for rate in (use.listeners, use.deliveries, use.pushes, use.joins)]
        try:
            needs = [cores(use, values), cores(use, values, "tls"), gigabytes(use, values)]
            shown = [_shown(need) for need in needs]
        except KeyError:
            shown = [MISSING] * 3
        lines.append(line([*rates, *shown, _shown(megabits(use))]))
    return "\n".join(lines)
