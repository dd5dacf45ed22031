"""The URL tree of the admin endpoint, which is for the operator of the server and nobody else."""

from cometify.admin.health import HealthEndpoint, WhyNot
from cometify.admin.inspector_page import page_endpoints
from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.exchange import Exchange
from cometify.http.site import Endpoint, Tree


class _Nowhere(Endpoint):
    methods = (b"GET", b"HEAD")

    def serve(self, request: Exchange) -> None:
        raise Refused(
            errors.NOT_FOUND,
            "There is nothing at this path. See /, /inspect, /metrics, /health/live and /health/ready.",
        )


class AdminRoot(Tree):
    """All paths of the admin endpoint.

    `ready`: returns the reason why no work should be sent here. `metrics`, `inspect`: the endpoints at these paths.
    """

    def __init__(self, ready: WhyNot, metrics: Endpoint, inspect: Endpoint) -> None:
        super().__init__()
        self._endpoints: dict[tuple[str, ...], Endpoint] = {
            **dict(page_endpoints()),
            ("inspect",): inspect,
            ("metrics",): metrics,
            ("health", "live"): HealthEndpoint(lambda: None),
            ("health", "ready"): HealthEndpoint(ready),
        }
        self._nowhere = _Nowhere()

    def find(self, path: tuple[str, ...]) -> Endpoint:
        return self._endpoints.get(path, self._nowhere)
