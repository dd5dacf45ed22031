"""/health/live and /health/ready, for whoever restarts the process and whoever sends it work."""

import json
from collections.abc import Callable
from typing import Any

from twisted.internet import defer

from cometify.http.exchange import Exchange
from cometify.http.site import Endpoint


class HealthEndpoint(Endpoint):
    """200 while `healthy()` gives None, else 503 with the reason that it gives, now or by a Deferred."""

    methods = (b"GET", b"HEAD")

    def __init__(self, healthy: Callable[[], Any]) -> None:
        self._healthy = healthy

    def serve(self, request: Exchange) -> None:
        defer.maybeDeferred(self._healthy).addCallback(_answer, request).addErrback(self.failed, request)


def _answer(reason: str | None, request: Exchange) -> None:
    body = {"status": "ok"} if reason is None else {"status": "unavailable", "reason": reason}
    request.answer(200 if reason is None else 503, b"application/json", json.dumps(body).encode())
