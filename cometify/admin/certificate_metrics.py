"""The certificates of a server's TLS ports, for /metrics."""

from collections.abc import Iterator

import attrs
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.application.service import MultiService

from cometify.runtime.ports import certificates_of


@attrs.frozen(eq=False)
class CertificateFigures(Collector):
    """Collects the figures of one server's certificates. There are none without TLS."""

    server: MultiService

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "cometify_certificate_not_after_seconds",
            "Unix time at which the first certificate that an endpoint sends expires.",
            labels=["endpoint"],
        )
        for certificates in certificates_of(self.server):
            family.add_metric([certificates.endpoint], certificates.validity.not_after)
        yield family
