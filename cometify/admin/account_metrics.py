"""The figures of each account for /metrics, if the setting `account_metrics` is on.

The label `account` holds an API key of the settings. An API key that a stranger makes up has no series: see `core.usage`.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from cometify.core import errors
from cometify.core.usage import Usage
from cometify.interfaces import IEngine

_COUNTERS = (
    ("pushes", "Accepted pushes of the account."),
    ("push_bytes", "Bytes of the texts of its accepted pushes."),
    ("deliveries", "Its pushes that were written to listeners, counted once for each listener."),
    ("delivered_bytes", "Bytes of these deliveries, before TLS."),
    ("gaps", "Gaps that its listeners were told."),
    ("joins", "Its listeners that have joined."),
)
"""The fields of `AccountCounts` that are counters."""
_CODES = (errors.NOT_AUTHORIZED, errors.TOO_MANY_PUSHES, errors.TOO_MANY_LISTENERS)
"""The codes that each account has from the start. Prometheus sees no increase in a series that begins with 1."""


def figures_of_accounts(usage: Usage, engine: IEngine) -> Iterator[Metric]:
    """Make the metrics of all accounts that were used in this process."""
    accounts = usage.figures()
    for name, text in _COUNTERS:
        counter = CounterMetricFamily(f"cometify_account_{name}", text, labels=["account"])
        for api_key, counts in accounts.items():
            counter.add_metric([api_key], getattr(counts, name))
        yield counter
    refused = CounterMetricFamily(
        "cometify_account_refused", "Refused requests and listeners of the account.", labels=["account", "code"]
    )
    for api_key, counts in accounts.items():
        for code in dict.fromkeys([*[code.name for code in _CODES], *counts.refused]):
            refused.add_metric([api_key, code], counts.refused[code])
    yield refused
    listeners = GaugeMetricFamily("cometify_account_listeners", "Joined listeners of the account.", labels=["account"])
    for api_key, counts in accounts.items():
        listeners.add_metric([api_key], counts.listeners)
    yield listeners
    yield from _kept(engine)


def _kept(engine: IEngine) -> Iterator[Metric]:
    pushes = GaugeMetricFamily("cometify_account_kept_pushes", "Kept pushes of the account.", labels=["account"])
    octets = GaugeMetricFamily("cometify_account_kept_bytes", "Bytes of its kept pushes.", labels=["account"])
    for api_key, kept in (engine.stats().kept or {}).items():
        pushes.add_metric([api_key], kept.pushes)
        octets.add_metric([api_key], kept.bytes)
    yield pushes
    yield octets
