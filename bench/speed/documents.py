"""What a run writes into docs/: the benchmark's page and chart, and the tables of the page on capacity."""

import re
from pathlib import Path

from bench.speed import capacity, chart, report
from bench.speed.report import Run
from bench.speed.summary import Result

_WRITTEN = "<!-- Written by `make bench-docs`: change bench/report.py, not this file. -->\n"


def filled(page: str, name: str, text: str) -> str:
    """The page with what stands between `<!-- name -->` and `<!-- end -->` replaced. Raises SystemExit if that is missing."""
    page, found = re.subn(
        rf"(<!-- {name}\b[^>]*-->\n).*?(<!-- end -->)",
        lambda m: f"{m[1]}{text}\n{m[2]}",
        page,
        count=1,
        flags=re.DOTALL,
    )
    if not found:
        raise SystemExit(f"the page on capacity has no place for its {name}: <!-- {name} --> and <!-- end -->")
    return page


def write(folder: Path, run: Run, results: list[Result]) -> list[Path]:
    """Write all; returns the files. Raises SystemExit where the run is not to be quoted."""
    if run.quick:
        raise SystemExit("a quick run is not to be quoted: make bench, without QUICK")
    page, drawing, needs = (folder / name for name in ("benchmark.md", "benchmark.svg", "capacity.md"))
    page.write_text(_WRITTEN + report.markdown(run, results, drawing.name), encoding="utf-8")
    drawing.write_text(chart.svg(results), encoding="utf-8")
    values = capacity.measured(results)
    text = filled(needs.read_text(encoding="utf-8"), "constants", capacity.constants_table(values))
    needs.write_text(filled(text, "worked", capacity.worked_table(values)), encoding="utf-8")
    return [page, drawing, needs]
