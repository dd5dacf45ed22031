"""The metrics of the relay, for Prometheus, and its notices on standard error."""

import time

import click
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from cometify.client import CometifyError, MaybePushed, Pushed
from cometify.command.relay.rows import Row
from cometify.command.relay.table import Stock

_DELAYS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)


class Observer:
    """Counts what the relay does, and tells a person what needs one. See `relay.Watcher`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._rows = Counter(
            "cometify_relay_rows",
            "Rows that ended: sent, known (pushed by an earlier request), dead.",
            ["result"],
            registry=self.registry,
        )
        for result in ("sent", "known", "dead"):
            self._rows.labels(result)
        self._failures = Counter(
            "cometify_relay_failures", "Requests that the server did not take.", ["code"], registry=self.registry
        )
        self._delay = Histogram(
            "cometify_relay_delay_seconds",
            "Seconds from the insert of a row until the server had it.",
            buckets=_DELAYS,
            registry=self.registry,
        )
        self._waiting = Gauge("cometify_relay_waiting_rows", "Rows that are still to be sent.", registry=self.registry)
        self._oldest = Gauge(
            "cometify_relay_oldest_row_seconds", "Age of the oldest row that waits.", registry=self.registry
        )
        self._dead = Gauge("cometify_relay_dead_rows", "Dead letters in the table.", registry=self.registry)
        self._owns = Gauge("cometify_relay_owner", "1 if this relay owns the outbox.", registry=self.registry)
        self._is_away = False

    def serve(self, host: str, port: int) -> None:
        """Serve the metrics from a thread. Raises OSError."""
        start_http_server(port, addr=host, registry=self.registry)

    def stock(self, stock: Stock) -> None:
        """Show the rows of the table."""
        self._waiting.set(stock.waiting)
        self._oldest.set(stock.oldest)
        self._dead.set(stock.dead)

    def owns(self, owns: bool) -> None:
        """Show if this relay owns the outbox."""
        self._owns.set(owns)

    def sent(self, rows: list[Row], pushed: list[Pushed]) -> None:
        now = time.time()
        known = sum(answer.duplicate for answer in pushed)
        self._rows.labels("known").inc(known)
        self._rows.labels("sent").inc(len(rows) - known)
        for row in rows:
            self._delay.observe(max(0.0, now - row.created_at / 1_000_000))
        self._is_back()

    def found(self, rows: list[Row]) -> None:
        self._rows.labels("known").inc(len(rows))
        self._is_back()

    def buried(self, row: Row, error: str) -> None:
        self._rows.labels("dead").inc()
        say(f"Row {row.id} for {row.identifier} is a dead letter. {error}")

    def failed(self, error: CometifyError, pause: float) -> None:
        self._failures.labels(error.code).inc()
        if not self._is_away:
            doubt = " The rows may have been pushed." if isinstance(error, MaybePushed) else ""
            say(f"{error.detail}{doubt} The relay tries again.")
        self._is_away = True

    def _is_back(self) -> None:
        if self._is_away:
            say("The server takes rows again.")
        self._is_away = False


def say(notice: str) -> None:
    """Write a line to standard error. Control characters of an identifier are escaped."""
    click.echo("".join(c if c.isprintable() else ascii(c)[1:-1] for c in f"cometify: {notice}"), err=True)
