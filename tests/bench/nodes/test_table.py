"""The table of a measurement of nodes that share a Redis."""

from bench.nodes.__main__ import document, table
from bench.rig.page_sections import fill_section

MEASURED = {"pushing, 1 node": {"pushes/s": [2000.4, 3000.0, 2500.2]}, "latency": {"p50, ms": [0.5, 0.75, 12.25]}}
FACTS = {"processor": "2 x Z80", "system": "CP/M", "kernel": "6.1", "date": "today"}


def test_figure_is_median_of_rounds_with_least_and_most():
    rows = table(MEASURED).splitlines()
    assert rows[2] == "| pushing, 1 node | pushes/s | 2,500 | 2,000 to 3,000 |"
    assert rows[3] == "| latency | p50, ms | 0.75 | 0.50 to 12.2 |"


def test_section_of_page_can_be_filled_again_and_again():
    page = "# Nodes\n<!-- nodes: written by something -->\n<!-- end -->\nThe rest.\n"
    for _ in range(2):
        page = fill_section(page, "nodes", document(FACTS, MEASURED))
    assert page.count("2 x Z80, CP/M, Linux 6.1") == 1
    assert page.endswith("<!-- end -->\nThe rest.\n")
