"""The figures of a canary: for Prometheus, and as lines for a person or a program."""

import json
from collections import Counter
from datetime import UTC, datetime

import click
from prometheus_client import CollectorRegistry, Gauge, disable_created_metrics, start_http_server
from prometheus_client import Counter as Count
from prometheus_client import Histogram as Buckets

from cometify.command.bench.latencies import Latencies
from cometify.command.escapes import escaped
from cometify.command.sources import SOURCES
from cometify.command.troubles import Trouble
from cometify.core.histogram import BOUNDS


class Figures:
    """Counts for one canary. See `canary.Watcher`. `last`: the trouble of the last push that was not accepted."""

    def __init__(self) -> None:
        disable_created_metrics()  # times that nobody asked for
        self.registry = CollectorRegistry()
        self.totals: Counter[str] = Counter()
        self.last: Trouble | None = None
        self._since: Counter[tuple[str, str]] = Counter()
        self._answers = Latencies()
        self._deliveries = {name: Latencies() for name in SOURCES}
        self._away: set[str] = set()
        self._pushes = self._count("pushes", "Pushes, by result: accepted, failed.", "result", ("accepted", "failed"))
        self._push_seconds = Buckets(
            "cometify_canary_push_seconds",
            "Time from a push to its answer.",
            buckets=BOUNDS,
            registry=self.registry,
        )
        self._delivery_seconds = Buckets(
            "cometify_canary_delivery_seconds",
            "Time from a push to its listener.",
            ["transport"],
            buckets=BOUNDS,
            registry=self.registry,
        )
        self._connected = Gauge(
            "cometify_canary_connected", "1 while the listener is joined.", ["transport"], registry=self.registry
        )
        self._of_listeners = {
            kind: self._count(kind, text, "transport", SOURCES)
            for kind, text in (
                ("heard", "Pushes that a listener heard."),
                ("lost", "Accepted pushes that a listener did not hear in time."),
                ("late", "Pushes that were counted as lost, and were heard after all."),
                ("repeated", "Pushes that a listener heard again."),
                ("interruptions", "Times that a listener could not join, or was cut off."),
            )
        }
        for name in SOURCES:
            self._connected.labels(name)
            self._delivery_seconds.labels(name)

    def _count(self, name: str, text: str, label: str, values: "tuple[str, ...] | dict[str, type]") -> Count:
        count = Count(f"cometify_canary_{name}", text, [label], registry=self.registry)
        for value in values:
            count.labels(value)
        return count

    def serve(self, host: str, port: int) -> None:
        """Serve the metrics from a thread. Raises OSError."""
        start_http_server(port, addr=host, registry=self.registry)

    @property
    def is_whole(self) -> bool:
        """True if every push was accepted, and heard once by each listener in time."""
        bad = self.totals["failed"] + self.totals["lost"] + self.totals["repeated"]
        return self.totals["accepted"] > 0 and self.totals["heard"] > 0 and not bad

    # Reports of the canary.

    def pushed(self, seconds: float) -> None:
        self.totals["accepted"] += 1
        self._pushes.labels("accepted").inc()
        self._push_seconds.observe(seconds)
        self._answers.add(seconds)
        self._tell_back("pushing")

    def not_pushed(self, trouble: Trouble, *, is_past: bool = False) -> None:
        self.last = trouble
        self.totals["failed"] += 1
        self._since["pushes", "failed"] += 1
        self._pushes.labels("failed").inc()
        if not is_past:
            self._tell_away("pushing", trouble)

    def heard(self, transport: str, seconds: float, *, is_late: bool) -> None:
        self._noted(transport, "heard")
        if is_late:
            self._noted(transport, "late")
        self._delivery_seconds.labels(transport).observe(seconds)
        self._deliveries[transport].add(seconds)

    def repeated(self, transport: str) -> None:
        self._noted(transport, "repeated")

    def lost(self, transport: str) -> None:
        self._noted(transport, "lost")

    def joined(self, transport: str) -> None:
        self._connected.labels(transport).set(1)
        self._tell_back(transport)

    def cut_off(self, transport: str, trouble: Trouble) -> None:
        self._connected.labels(transport).set(0)
        self._noted(transport, "interruptions")
        self._tell_away(transport, trouble)

    def _noted(self, transport: str, kind: str) -> None:
        self.totals[kind] += 1
        self._since[transport, kind] += 1
        self._of_listeners[kind].labels(transport).inc()

    def _tell_away(self, what: str, trouble: Trouble) -> None:
        """Tell a trouble once, until it is over."""
        if what not in self._away:
            self._away.add(what)
            click.echo(escaped(f"{_now()} {what}: {trouble.detail} ({trouble.fault})"), err=True)

    def _tell_back(self, what: str) -> None:
        if what in self._away:
            self._away.discard(what)
            click.echo(f"{_now()} {what}: works again", err=True)

    # Lines.

    def report(self, *, as_json: bool) -> None:
        """Print what happened since the last report."""
        rows = {
            "pushes": {"accepted": self._answers.count, "failed": self._since["pushes", "failed"]},
            **{
                name: {kind: self._since[name, kind] for kind in ("heard", "lost", "late", "repeated", "interruptions")}
                for name in SOURCES
            },
        }
        latencies = {"pushes": self._answers, **self._deliveries}
        if as_json:
            figures = {name: {**row, **_quantiles(latencies[name])} for name, row in rows.items()}
            click.echo(json.dumps({"time": _now(), **figures}))
        else:
            click.echo("  ".join([_now(), *(_in_words(name, row, latencies[name]) for name, row in rows.items())]))
        self._since.clear()
        self._answers = Latencies()
        self._deliveries = {name: Latencies() for name in SOURCES}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _quantiles(latencies: Latencies) -> dict[str, float]:
    if not latencies.count:
        return {}
    return {"p50": round(latencies.quantile(0.5), 6), "max": round(latencies.most, 6)}


def _in_words(name: str, row: dict[str, int], latencies: Latencies) -> str:
    (_good, count), *others = row.items()
    words = [f"{name} {count}"]
    if latencies.count:
        words.append(f"max {1000 * latencies.most:.3g} ms")
    words += [f"{kind} {number}" for kind, number in others if number]
    return " ".join(words)
