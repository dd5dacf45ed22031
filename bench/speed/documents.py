"""The pages that a run writes: the benchmark with its chart, the tables of the page on capacity, and that of README.md."""

from pathlib import Path

from bench.rig.page_sections import fill_section
from bench.speed import capacity, chart, report
from bench.speed.peers_table import peers_table
from bench.speed.report import Run
from bench.speed.summary import Result

_WRITTEN = "<!-- Written by `make bench-docs`: change bench/speed/report.py, not this file. -->\n"


def write(folder: Path, run: Run, results: list[Result]) -> list[Path]:
    """Write the pages into the folder, and the table into the README.md above it. Returns their paths.

    Raises SystemExit if the run was quick.
    """
    if run.quick:
        raise SystemExit("a quick run must not be quoted: run make bench without QUICK")
    page, drawing, needs = (folder / name for name in ("benchmark.md", "benchmark.svg", "capacity.md"))
    page.write_text(_WRITTEN + report.markdown(run, results, drawing.name), encoding="utf-8")
    drawing.write_text(chart.svg(results), encoding="utf-8")
    values = capacity.measured(results)
    text = fill_section(needs.read_text(encoding="utf-8"), "constants", capacity.constants_table(values))
    needs.write_text(fill_section(text, "worked", capacity.worked_table(values)), encoding="utf-8")
    readme = folder.parent / "README.md"
    text = fill_section(readme.read_text(encoding="utf-8"), "peers", peers_table(results))
    readme.write_text(text, encoding="utf-8")
    return [page, drawing, needs, readme]
