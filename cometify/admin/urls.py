"""The URL tree of the admin endpoint, which is for whoever runs the server and nobody else."""

from collections.abc import Callable
from typing import Any

from cometify.admin.health import HealthEndpoint
from cometify.admin.inspector import page_endpoints
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
    """`ready`: why no work should be sent here, or None, now or by a Deferred. `metrics` and `inspect`: what is at
    these paths.
    """

    def __init__(self, ready: Callable[[], Any], metrics: Endpoint, inspect: Endpoint) -> None:
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
