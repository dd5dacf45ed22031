"""The result of `cometify bench`, for a person and for a program."""

import json
from collections import Counter

import click
from rich.console import Console
from rich.text import Text

from cometify.command.bench.latencies import Latencies
from cometify.command.bench.load import Result

_WIDTH = 40
"""Characters of the longest bar."""
BUSY = 0.9
"""Share of a core above which this command may be slower than the server."""


def show(result: Result) -> None:
    """Print figures and a histogram. Colours are for a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    for name, text in _rows(result):
        console.print(Text.assemble((f"{name:<12}", "bold"), text))
    console.print()
    console.print(Text("Time from a push to a listener:" if result.listeners else "Time from a push to its answer:"))
    latencies = result.delivery if result.listeners else result.answer
    rows = list(latencies.rows())
    longest = max((count for _bound, count in rows), default=0)
    for bound, count in rows:
        bar = "█" * max(round(_WIDTH * count / longest), 1 if count else 0)
        console.print(Text.assemble(f"{'≤ ' + _duration(bound):>10}  ", (bar.ljust(_WIDTH), "cyan"), f"  {count:,}"))
    if result.cpu > BUSY:
        console.print(Text("This command used a whole core: the server may be faster than that.", style="yellow"))


def _rows(result: Result) -> list[tuple[str, str]]:
    rate = f"{result.sent / result.seconds:,.1f}/s"
    rows = [
        ("listeners", f"{result.listeners:,} joined{_listed(', refused: ', result.turned_away)}"),
        ("pushes", f"{result.sent:,} sent in {result.seconds:.1f} s ({rate}), {result.accepted:,} accepted"),
        (
            "deliveries",
            f"{result.deliveries:,} ({result.deliveries / result.seconds:,.1f}/s), {result.missing:,} missing",
        ),
        ("delivery", _quantiles(result.delivery)),
        ("answer", _quantiles(result.answer)),
    ]
    if result.refused:
        rows.insert(2, ("refused", _listed("", result.refused)))
    if result.skipped:
        rows.insert(2, ("not sent", f"{result.skipped:,}, because too many pushes waited for their answers"))
    if result.lost:
        rows.insert(1, ("lost", f"{result.lost:,} listeners were cut off"))
    return rows


def _listed(before: str, counts: Counter[str]) -> str:
    return before + ", ".join(f"{name} {count:,}" for name, count in counts.most_common()) if counts else ""


def _quantiles(latencies: Latencies) -> str:
    if not latencies.count:
        return "none"
    p50, p99 = latencies.quantile(0.5), latencies.quantile(0.99)
    return f"p50 {_duration(p50)}, p99 {_duration(p99)}, max {_duration(latencies.most)}"


def _duration(seconds: float) -> str:
    if seconds < 0.001:
        return f"{1e6 * seconds:.0f} µs"
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def show_json(result: Result) -> None:
    """Print one object. Times are in seconds."""
    report = {
        "seconds": round(result.seconds, 3),
        "listeners": result.listeners,
        "listeners_refused": result.turned_away,
        "listeners_lost": result.lost,
        "sent": result.sent,
        "not_sent": result.skipped,
        "accepted": result.accepted,
        "refused": result.refused,
        "pushes_per_second": round(result.accepted / result.seconds, 3),
        "deliveries": result.deliveries,
        "deliveries_per_second": round(result.deliveries / result.seconds, 3),
        "missing": result.missing,
        "repeated": result.repeated,
        "delivery": _json_of(result.delivery),
        "answer": _json_of(result.answer),
        "cpu": round(result.cpu, 3),
    }
    click.echo(json.dumps(report))


def _json_of(latencies: Latencies) -> dict[str, object] | None:
    if not latencies.count:
        return None
    return {
        "p50": round(latencies.quantile(0.5), 6),
        "p99": round(latencies.quantile(0.99), 6),
        "max": round(latencies.most, 6),
        "histogram": [{"up_to": bound, "count": count} for bound, count in latencies.rows()],
    }
