"""The report of a measurement of what the time of a join tells."""

from bench.secrecy.__main__ import WITH, WITHOUT, quantile, report


def test_quantile_is_the_time_below_which_a_part_lies():
    assert quantile([5.0, 1.0, 4.0, 2.0, 3.0], 0.5) == 3.0
    assert quantile([2.0, 1.0], 0.1) == 1.0


def test_report_tells_the_differences_in_microseconds():
    times = {WITH: [number / 1e5 for number in range(10, 110)], WITHOUT: [number / 1e5 for number in range(100)]}
    assert report(times) == [
        "p10: 200.0 us with, 100.0 us without, difference +100.0 us",
        "p25: 350.0 us with, 250.0 us without, difference +100.0 us",
        "p50: 600.0 us with, 500.0 us without, difference +100.0 us",
    ]
