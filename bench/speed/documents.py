"""The pages of docs/ that a run writes: the benchmark with its chart, and the tables of the page on capacity."""

from pathlib import Path

from bench.rig.page_sections import fill_section
from bench.speed import capacity, chart, report
from bench.speed.report import Run
from bench.speed.summary import Result

_WRITTEN = "<!-- Written by `make bench-docs`: change bench/speed/report.py, not this file. -->\n"


def write(folder: Path, run: Run, results: list[Result]) -> list[Path]:
    """Write the pages. Returns their paths. Raises SystemExit if the run was quick."""
    if run.quick:
        raise SystemExit("a quick run must not be quoted: run make bench without QUICK")
    page, drawing, needs = (folder / name for name in ("benchmark.md", "benchmark.svg", "capacity.md"))
    page.write_text(_WRITTEN + report.markdown(run, results, drawing.name), encoding="utf-8")
    drawing.write_text(chart.svg(results), encoding="utf-8")
    values = capacity.measured(results)
    text = fill_section(needs.read_text(encoding="utf-8"), "constants", capacity.constants_table(values))
    needs.write_text(fill_section(text, "worked", capacity.worked_table(values)), encoding="utf-8")
    return [page, drawing, needs]
