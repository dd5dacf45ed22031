"""The chart: one panel for each workload and one bar for each server, written as SVG by hand."""

from html import escape
from textwrap import wrap

from bench.speed.servers import SERVERS
from bench.speed.servers.cometify import COMETIFY
from bench.speed.servers.floor import FLOOR
from bench.speed.summary import Result, Row

COLUMNS = 2
PANEL = 460
"""Width of a panel."""
NAMES = 190
"""Width of the names in a panel."""
BAR = 16
STEP = 21
TITLE = 44
LINE = 17
LETTERS = 56
"""Letters in a line of a title."""
GAP = 26

_STYLE = """\
<style>
text { font: 12px system-ui, sans-serif; fill: #222 }
.title { font-size: 13px; font-weight: 600 }
.ours { font-weight: 600 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } }
</style>"""


def _colour(server: str) -> str:
    return {COMETIFY.name: "#d2451e", FLOOR.name: "#8a8f98"}.get(server, "#4a7ebb")


def _text(x: float, y: float, words: str, kind: str = "", end: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{anchor}{style}>{escape(words, quote=False)}</text>'


def _bar(row: Row, most: float, x: float, y: float) -> list[str]:
    value = row.values[0]
    width = max(1.0, (PANEL - NAMES - 75) * value.median / most)
    kind = "ours" if row.server == COMETIFY.name else ""
    middle = y + BAR - 4
    return [
        _text(x + NAMES - 8, middle, SERVERS[row.server].title, kind, end=True),
        f'<rect x="{x + NAMES}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{_colour(row.server)}"/>',
        _text(x + NAMES + width + 6, middle, f"{value.median:,.{value.figure.digits}f}", kind),
    ]


def _sorted(result: Result) -> list[Row]:
    """Return the rows with the best first."""
    rows = [row for row in result.rows if row.values]
    return sorted(rows, key=lambda row: row.values[0].median, reverse=result.workload.figures[0].more_is_better)


def _title(result: Result) -> list[str]:
    """Return the lines of a title."""
    title = result.workload.title
    return wrap(title[:1].upper() + title[1:], LETTERS)


def _panel(result: Result, x: float, y: float) -> list[str]:
    figure = result.workload.figures[0]
    better = "more" if figure.more_is_better else "less"
    lines = _title(result)
    drawn = [_text(x, y + 14 + number * LINE, line, "title") for number, line in enumerate(lines)]
    y += (len(lines) - 1) * LINE
    drawn.append(_text(x, y + 31, f"{figure.label}, {figure.unit}; {better} is better"))
    rows = _sorted(result)
    most = max(row.values[0].median for row in rows) or 1.0
    for number, row in enumerate(rows):
        drawn += _bar(row, most, x, y + TITLE + number * STEP)
    return drawn


def _height(result: Result) -> int:
    return TITLE + (len(_title(result)) - 1) * LINE + STEP * len(_sorted(result)) + GAP


def svg(results: list[Result]) -> str:
    """Return the chart: two panels in a line, one for each workload that more than one server ran."""
    drawn: list[str] = []
    y = GAP
    shown = [result for result in results if len(_sorted(result)) > 1]
    for first in range(0, len(shown), COLUMNS):
        line = shown[first : first + COLUMNS]
        for column, result in enumerate(line):
            drawn += _panel(result, GAP + column * (PANEL + GAP), y)
        y += max(_height(result) for result in line)
    width = GAP + COLUMNS * (PANEL + GAP)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" viewBox="0 0 {width} {y}" role="img">'
    return "\n".join([head, "<title>Cometify and its peers, measured in one run</title>", _STYLE, *drawn, "</svg>", ""])
