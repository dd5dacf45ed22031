"""/health/live, for a program that restarts the process, and /health/ready, for one that sends work to it."""

import json
from collections.abc import Callable
from typing import cast

from twisted.internet import defer

from cometify.http.exchange import Exchange
from cometify.http.site import Endpoint

WhyNot = Callable[[], "str | defer.Deferred[str | None] | None"]
"""Returns the reason why a server is not healthy, None if it is, now or later."""


class HealthEndpoint(Endpoint):
    """Answers 200 if `why_not` returns None, else 503 with the reason that it returns. The result may be a Deferred.

    `why_not_whole`: returns the reason why a healthy server serves only a part of all, which is told with the 200.
    """

    methods = (b"GET", b"HEAD")

    def __init__(self, why_not: WhyNot, why_not_whole: Callable[[], str | None] = lambda: None) -> None:
        self._why_not = why_not
        self._why_not_whole = why_not_whole

    def serve(self, request: Exchange) -> None:
        # maybeDeferred takes either result, but its type names only one at a time.
        why_not = cast("Callable[[], defer.Deferred[str | None]]", self._why_not)
        asked = defer.maybeDeferred(why_not)
        asked.addCallback(self._answer, request).addErrback(self.failed, request)

    def _answer(self, reason: str | None, request: Exchange) -> None:
        partly = self._why_not_whole() if reason is None else None
        body = {"status": "ok" if reason is None else "unavailable"}
        if reason or partly:
            body["reason"] = str(reason or partly)
        request.answer(200 if reason is None else 503, b"application/json", json.dumps(body).encode())
