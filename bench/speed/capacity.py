"""The needs of a server for a number of listeners: arithmetic on the medians of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.speed import figures
from bench.speed.figures import Figure
from bench.speed.report import table_row
from bench.speed.servers.cometify import COMETIFY
from bench.speed.summary import Result

MISSING = "not measured"
_US = 1e-6
_LISTENERS = (10_000, 1_000_000, 100_000_000)


@dataclass(frozen=True)
class Constant:
    """A measured constant: the median of a figure of a workload, times `scale`."""

    meaning: str
    workload: str
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
    """Return the constants that were measured, each in its figure's unit."""
    medians = {
        (result.workload.name, value.figure.path): value.median
        for result in results
        if (row := result.row(COMETIFY.name))
        for value in row.values
    }
    return {
        name: medians[constant.workload, constant.figure.path] * constant.scale
        for name, constant in CONSTANTS.items()
        if (constant.workload, constant.figure.path) in medians
    }


def constants_table(values: Mapping[str, float]) -> str:
    """Return a table of the constants with their values and workloads."""
    lines = [table_row(["constant", "value", "workload"]), table_row(["---", "---:", "---"])]
    for name, constant in CONSTANTS.items():
        figure = constant.figure
        shown = f"{values[name]:,.{figure.digits}f} {figure.unit}" if name in values else MISSING
        lines.append(table_row([constant.meaning, shown, constant.workload]))
    return "\n".join(lines)


@dataclass(frozen=True)
class Demand:
    """The demand of listeners.

    `pushed_every`, `heartbeat` and `joins_every` are the seconds between two pushes to a listener, two heartbeats and two
    joins. `fan_out` is the number of listeners of a push.
    """

    listeners: int
    pushed_every: float = 10
    heartbeat: float = 25
    joins_every: float = 300
    fan_out: int = 100

    @property
    def deliveries(self) -> float:
        """Pushes and heartbeats that leave the server in a second."""
        return self.listeners / self.pushed_every + self.listeners / self.heartbeat

    @property
    def pushes(self) -> float:
        """Pushes that reach the server in a second."""
        return self.listeners / self.pushed_every / self.fan_out

    @property
    def joins(self) -> float:
        """Joins in a second."""
        return self.listeners / self.joins_every


def cores(demand: Demand, values: Mapping[str, float], delivery: str = "delivery") -> float:
    """Return the CPU in cores. `delivery` names the constant of a delivery. Raises KeyError if a constant is missing."""
    return _US * (demand.deliveries * values[delivery] + demand.pushes * values["push"] + demand.joins * values["join"])


def gigabytes(demand: Demand, values: Mapping[str, float]) -> float:
    """Return the memory of WebSockets, with the kernel's share. Raises KeyError if a constant is missing."""
    return demand.listeners * (values["websocket"] + values["kernel"]) / 1e6


def megabits(demand: Demand, size: int = 360) -> float:
    """Return the traffic in Mbit/s. `size` is the bytes of a delivery and of its ACK, with all headers."""
    return demand.deliveries * size * 8 / 1e6


def _shown(value: float) -> str:
    return f"{value:,.2f}" if value < 1 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def worked_table(values: Mapping[str, float]) -> str:
    """Return a table of the needs of ten thousand, one million and a hundred million listeners."""
    heads = ["listeners", "deliveries/s", "pushes/s", "joins/s", "cores", "cores with TLS", "memory, GB", "Mbit/s"]
    lines = [table_row(heads), table_row(["---:"] * len(heads))]
    for demand in map(Demand, _LISTENERS):
        rates = [f"{rate:,.0f}" for rate in (demand.listeners, demand.deliveries, demand.pushes, demand.joins)]
        try:
            needs = [cores(demand, values), cores(demand, values, "tls"), gigabytes(demand, values)]
            shown = [_shown(need) for need in needs]
        except KeyError:
            shown = [MISSING] * 3
        lines.append(table_row([*rates, *shown, _shown(megabits(demand))]))
    return "\n".join(lines)
