"""/health/live and /health/ready, for whoever restarts the process and whoever sends it work."""

import json
from collections.abc import Callable

from cometify.core import errors
from cometify.core.errors import Refused
from cometify.transports.exchange import Exchange
from cometify.transports.http import Endpoint, Tree


class HealthEndpoint(Endpoint):
    """200 while `healthy()` gives None, else 503 with the reason that it gives."""

    methods = (b"GET", b"HEAD")

    def __init__(self, healthy: Callable[[], str | None]) -> None:
        self._healthy = healthy

    def serve(self, request: Exchange) -> None:
        reason = self._healthy()
        body = {"status": "ok"} if reason is None else {"status": "unavailable", "reason": reason}
        request.answer(200 if reason is None else 503, b"application/json", json.dumps(body).encode())


class _Nowhere(Endpoint):
    methods = (b"GET", b"HEAD")

    def serve(self, request: Exchange) -> None:
        raise Refused(errors.NOT_FOUND, "There is nothing at this path. See /health/live and /health/ready.")


class AdminRoot(Tree):
    """`ready`: why no work should be sent here, or None."""

    def __init__(self, ready: Callable[[], str | None]) -> None:
        super().__init__()
        self._endpoints: dict[tuple[str, ...], Endpoint] = {
            ("health", "live"): HealthEndpoint(lambda: None),
            ("health", "ready"): HealthEndpoint(ready),
        }
        self._nowhere = _Nowhere()

    def find(self, path: tuple[str, ...]) -> Endpoint:
        return self._endpoints.get(path, self._nowhere)
