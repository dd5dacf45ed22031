"""The figures of webhooks for /metrics, all accounts together."""

from collections.abc import Iterator

import attrs
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cometify.webhooks.webhooks import Webhooks


@attrs.frozen(eq=False)
class WebhookFigures(Collector):
    """Collects the figures of one server's webhooks."""

    webhooks: Webhooks

    def collect(self) -> Iterator[Metric]:
        totals = self.webhooks.totals
        requests = CounterMetricFamily(
            "cometify_webhook_requests", "Requests to webhooks, by their result.", labels=["result"]
        )
        requests.add_metric(["accepted"], totals.accepted)
        requests.add_metric(["failed"], totals.failed)
        yield requests
        yield CounterMetricFamily(
            "cometify_webhook_events_dropped",
            "Events that no receiver took within five minutes, or that were too many.",
            value=totals.dropped,
        )
        sending = [state for state in self.webhooks.states() if state.sends]
        yield GaugeMetricFamily(
            "cometify_webhook_events_waiting",
            "Events that wait for their request, of the accounts whose events this process sends.",
            value=sum(state.waiting for state in sending),
        )
        yield GaugeMetricFamily(
            "cometify_webhooks_failing",
            "Accounts whose webhook did not take the last request of this process.",
            value=sum(state.failing_since is not None for state in sending),
        )
