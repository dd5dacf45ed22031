"""The table of README.md: Cometify beside servers that a reader may know, one figure of each kind of work."""

from collections.abc import Sequence

from bench.speed import figures
from bench.speed.report import table_row
from bench.speed.servers import SERVERS
from bench.speed.servers.floor import FLOOR
from bench.speed.summary import Result

COLUMNS = {
    "CPU for a delivery, steady": ("fanout-1000", figures.CPU),
    "deliveries, 8 pushes in flight": ("saturation-8", figures.DELIVERIES),
    "memory for an idle listener": ("idle-10000", figures.LISTENER_BYTES),
    "CPU for a push": ("publish-16", figures.CPU_OF_PUSH),
}
"""The columns: their heads, with the workload and the figure of each."""
LEFT_OUT = (FLOOR.name, "autobahn")
"""Programs of the benchmark alone, which nobody runs."""


def peers_table(results: Sequence[Result]) -> str:
    """Return a table with a row for each server that was measured, the one that needs the least CPU first."""
    medians = {
        (row.server, result.workload.name, value.figure.path): value.median
        for result in results
        for row in result.rows
        for value in row.values
    }
    first, figure = next(iter(COLUMNS.values()))
    known = [name for name in SERVERS if name not in LEFT_OUT and (name, first, figure.path) in medians]
    known.sort(key=lambda name: medians[name, first, figure.path])
    heads = [f"{head}, {figure.unit}" for head, (_workload, figure) in COLUMNS.items()]
    lines = [table_row(["server", *heads]), table_row(["---", *["---:"] * len(heads)])]
    for name in known:
        cells = [
            f"{medians[key]:,.{figure.digits}f}" if (key := (name, workload, figure.path)) in medians else "-"
            for workload, figure in COLUMNS.values()
        ]
        lines.append(table_row([SERVERS[name].title, *cells]))
    return "\n".join(lines)
