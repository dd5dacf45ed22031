"""/health/live and /health/ready, for whoever restarts the process and whoever sends it work."""

import json
from collections.abc import Callable

from cometify.transports.exchange import Exchange
from cometify.transports.http import Endpoint


class HealthEndpoint(Endpoint):
    """200 while `healthy()` gives None, else 503 with the reason that it gives."""

    methods = (b"GET", b"HEAD")

    def __init__(self, healthy: Callable[[], str | None]) -> None:
        self._healthy = healthy

    def serve(self, request: Exchange) -> None:
        reason = self._healthy()
        body = {"status": "ok"} if reason is None else {"status": "unavailable", "reason": reason}
        request.answer(200 if reason is None else 503, b"application/json", json.dumps(body).encode())
