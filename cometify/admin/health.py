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
    """Answers 200 if `why_not` returns None, else 503 with the reason that it returns. The result may be a Deferred."""

    methods = (b"GET", b"HEAD")

    def __init__(self, why_not: WhyNot) -> None:
        self._why_not = why_not

    def serve(self, request: Exchange) -> None:
        # maybeDeferred takes either result, but its type names only one at a time.
        why_not = cast("Callable[[], defer.Deferred[str | None]]", self._why_not)
        asked = defer.maybeDeferred(why_not)
        asked.addCallback(_answer, request).addErrback(self.failed, request)


def _answer(reason: str | None, request: Exchange) -> None:
    body = {"status": "ok"} if reason is None else {"status": "unavailable", "reason": reason}
    request.answer(200 if reason is None else 503, b"application/json", json.dumps(body).encode())
