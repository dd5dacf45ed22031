"""Medians, ratios and tables of a run, and the arithmetic of capacity."""

import json
from pathlib import Path

import pytest

from bench.campaigns.soak.growth import Sample, growth
from bench.speed import capacity, chart, documents, report
from bench.speed.capacity import Demand
from bench.speed.measurement import Measurement
from bench.speed.peers_table import COLUMNS
from bench.speed.report import Run
from bench.speed.summary import Summary
from bench.speed.workloads import WORKLOADS

DOCS = Path(__file__).parents[3] / "docs"


def measurement(server, work, cpu, number=1, **more):
    answer = {
        "cpu_us_per_delivery": cpu, "lat_us": {"p50": 4000.0, "p99": 9000.0}, "machine_busy_pct": 60.0,
        "server_cpu_pct": 40.0, "client_cpu_pct": 20.0, "expected": 100, "lost": 0, "dup": 0, "ooo": 0, "closed": 0,
        "pub_errors": 0, **more,
    }  # fmt: skip
    return Measurement(server, work, number, 0.1, answer)


def three(server, work, *cpus, **more):
    return [measurement(server, work, cpu, number, **more) for number, cpu in enumerate(cpus, 1)]


MEASURED = [
    *three("rawfan", "fanout-1000", 4.0, 4.2, 3.8),
    *three("cometify", "fanout-1000", 5.0, 9.0, 4.0),
    *three("nchan", "fanout-1000", 8.0, 8.0, 10.0),
    *three("cometify", "tls-1000", 10.0, 11.0, 9.0),
]


def principal(work, server):
    row = Summary(MEASURED).result(WORKLOADS[work]).row(server)
    assert row is not None
    return row.values[0]


def run(measurements=MEASURED, quick=False):
    return Run({"date": "today"}, {"Cometify": "cometify 1"}, {"faye": "bench/setup npm"}, list(measurements), quick)


def test_figure_is_median_of_rounds_with_least_and_most():
    value = principal("fanout-1000", "cometify")
    assert (value.median, value.least, value.most) == (5.0, 4.0, 9.0)


def test_ratios_are_to_medians_of_floor_nchan_and_plain():
    assert principal("fanout-1000", "cometify").ratios == {"x floor": 1.25, "x nchan": 0.625}
    assert principal("tls-1000", "cometify").ratios == {"x plain": 2.0}


def test_faults_stand_beside_the_figure():
    measured = [
        measurement("cometify", "fanout-1000", 5.0, lost=3, dup=1),
        measurement("cometify", "fanout-1000", 5.0, server_cpu_pct=99.0),
        Measurement("cometify", "fanout-1000", 3, 0.1, failure="not started: no"),
    ]
    row = Summary(measured).result(WORKLOADS["fanout-1000"]).row("cometify")
    assert row.rounds == 2
    assert row.remarks == ["not started: no", "3 of 200 lost", "1 doubled"]
    overloaded = Summary([measurement("cometify", "fanout-1000", 5.0, server_cpu_pct=99.0)])
    assert overloaded.result(WORKLOADS["fanout-1000"]).row("cometify").remarks == ["overloaded: 99 % of a core"]


def test_server_without_answer_has_a_row_without_figures():
    failed = [Measurement("ws", "fanout-1000", 1, 0.1, failure="not started: no"), *MEASURED]
    text = report.markdown(run(failed), run(failed).results(), "result.svg")
    assert "| ws | - | - | - | - | - | - | - | - | - | - | not started: no |" in text


def test_report_has_a_column_for_each_ratio():
    text = report.markdown(run(), run().results(), "result.svg")
    assert "| Cometify | **5.00** | 4.00 to 9.00 | 1.25 | 0.62 | 4.0 | 1.00 | 1.00 | 9.0 | 1.00 | 1.00 |  |" in text
    assert "| Cometify | **10.00** | 9.00 to 11.00 | 2.00 | 4.0 | 9.0 |  |" in text


def test_result_read_again_gives_the_same_report(tmp_path):
    file = tmp_path / "result.json"
    file.write_text(report.as_json(run(), run().results()))
    again = report.read(file)
    assert report.markdown(again, again.results(), "x") == report.markdown(run(), run().results(), "x")
    with pytest.raises(SystemExit, match="make bench writes it"):
        report.read(tmp_path / "none.json")


def test_chart_has_a_panel_for_workloads_of_several_servers():
    drawn = chart.svg(run().results())
    assert "1,000 WebSockets, 20 pushes/s" in drawn
    assert "over TLS" not in drawn
    assert drawn.count("<rect") == 3


def test_needs_are_arithmetic_on_the_constants():
    values = {"delivery": 5.0, "tls": 10.0, "push": 100.0, "join": 300.0, "websocket": 2.0, "kernel": 3.0}
    demand = Demand(1_000_000)
    assert (demand.deliveries, demand.pushes, round(demand.joins)) == (140_000, 1_000, 3_333)
    assert capacity.cores(demand, values) == pytest.approx(0.7 + 0.1 + 1.0)
    assert capacity.cores(demand, values, "tls") == pytest.approx(1.4 + 0.1 + 1.0)
    assert capacity.gigabytes(demand, values) == pytest.approx(5.0)
    assert "| 1,000,000 | 140,000 | 1,000 | 3,333 | 1.8 | 2.5 | 5.0 | 403 |" in capacity.worked_table(values)


@pytest.fixture
def docs(tmp_path):
    """The folder docs of a repository, whose README has a place for its table."""
    (tmp_path / "README.md").write_text("A\n<!-- peers: x -->\nold\n<!-- end -->\nB\n")
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs"


def test_docs_say_what_a_run_did_not_measure(docs):
    page = docs / "capacity.md"
    page.write_text("A\n<!-- constants: x -->\nold\n<!-- end -->\nB\n<!-- worked -->\nold\n<!-- end -->\nC\n")
    documents.write(docs, run(), run().results())
    text = page.read_text()
    assert "old" not in text
    assert "| CPU per delivery, steady | 5.00 µs | fanout-1000 |" in text
    assert "| memory of an idle stream | not measured | idle-stream-10000 |" in text
    assert text.startswith("A\n<!-- constants: x -->\n|")
    assert text.endswith("|\n<!-- end -->\nC\n")
    assert "(benchmark.svg)" in (docs / "benchmark.md").read_text()


def test_readme_compares_servers_that_people_run(docs):
    (docs / "capacity.md").write_text("<!-- constants -->\n<!-- end -->\n<!-- worked -->\n<!-- end -->\n")
    assert docs.parent / "README.md" in documents.write(docs, run(), run().results())
    head, line, *rows = (docs.parent / "README.md").read_text().splitlines()[2:-2]
    assert head.startswith("| server | CPU for a delivery, steady, µs | deliveries, 8 pushes in flight, k/s |")
    assert line == "| --- | ---: | ---: | ---: | ---: |"
    assert rows == ["| Cometify | 5.00 | - | - | - |", "| nchan, one worker | 8.00 | - | - | - |"]


def test_readme_has_the_figures_of_the_benchmark():
    benchmark = (DOCS / "benchmark.md").read_text("utf-8")
    section = (DOCS.parent / "README.md").read_text("utf-8").partition("<!-- peers")[2].partition("<!-- end -->")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]
    assert rows[0][0] in {"Cometify", "uWebSockets.js"}
    for number, (workload, figure) in enumerate(COLUMNS.values(), 1):
        table = benchmark.partition(f"\n## {workload}: ")[2].partition("\n## ")[0]
        lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
        column = lines[0].index(f"{figure.label}, {figure.unit}")
        measured = {line[0]: line[column].strip("*") for line in lines[2:]}
        assert {row[0]: row[number] for row in rows} == {row[0]: measured.get(row[0], "-") for row in rows}


def test_quick_run_and_page_without_its_place_are_refused(docs):
    with pytest.raises(SystemExit, match="without QUICK"):
        documents.write(docs, run(quick=True), run().results())
    (docs / "capacity.md").write_text("nothing")
    with pytest.raises(SystemExit, match="no place for its constants"):
        documents.write(docs, run(), run().results())


def test_growth_is_from_first_half_to_second():
    samples = [Sample(100, 50, {"A": 5}), Sample(100, 52, {"A": 5}), Sample(107, 60, {"A": 9, "B": 1})]
    grown = growth(samples)
    assert (grown.rss, grown.objects, grown.types) == (7, 10, {"A": 4, "B": 1})
    assert json.dumps(grown.summary()) == '"+0.00 MB, +10 objects (A +4, B +1)"'
