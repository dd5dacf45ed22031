"""Families of metrics in the library's types. All names begin with `cometify_`."""

from collections.abc import Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from cometify.core.histogram import Histogram


def counter(name: str, text: str, value: float | Mapping[str, int], label: str = "") -> Metric:
    """Make a counter. `value`: one number, or one for each value of the label."""
    family = CounterMetricFamily(f"cometify_{name}", text, labels=[label] if label else None)
    return _filled(family, value)


def gauge(name: str, text: str, value: float | Mapping[str, int] | None, label: str = "") -> Metric:
    """Make a gauge. `value`: see `counter`. None, which is not known: the gauge has no series."""
    family = GaugeMetricFamily(f"cometify_{name}", text, labels=[label] if label else None)
    return _filled(family, value)


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily, value: float | Mapping[str, int] | None
) -> CounterMetricFamily | GaugeMetricFamily:
    if isinstance(value, Mapping):
        for name, one in value.items():
            family.add_metric([name], one)
    elif value is not None:
        family.add_metric([], value)
    return family


def histogram(name: str, text: str, histogram: Histogram) -> Metric:
    """Make a histogram."""
    buckets, count = [], 0
    for bound, more in zip([*map(str, histogram.bounds), "+Inf"], histogram.counts, strict=True):
        count += more
        buckets.append((bound, count))
    return HistogramMetricFamily(f"cometify_{name}", text, buckets=buckets, sum_value=histogram.total)
