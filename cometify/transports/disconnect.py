"""POST /{apiKey}/disconnect: the back end ends connections of a visitor, on all nodes."""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from cometify.core.errors import DRAINING, Refused
from cometify.core.revocation import read_disconnect, revoked_from
from cometify.core.usage import Usage
from cometify.http.bodies import read_json_object
from cometify.http.exchange import Exchange
from cometify.http.site import Endpoint
from cometify.interfaces import IEngine
from cometify.transports.publishers import Publishers

T = TypeVar("T")


class DisconnectEndpoint(Endpoint):
    """Takes requests to disconnect. `wall`: the wall clock, in Unix seconds.

    There are no CORS headers, because the request needs the API secret, and no page should hold that. `under_way`: the
    requests that the engine has not answered yet. `refused`: the requests that were refused, by code.
    """

    methods = (b"POST",)
    max_body = 4096
    allows_fast_path = True
    draining = False

    def __init__(self, engine: IEngine, publishers: Publishers, wall: Callable[[], float], usage: Usage) -> None:
        self._engine = engine
        self._publishers = publishers
        self._wall = wall
        self._usage = usage
        self.under_way = 0
        self.refused: Counter[str] = Counter()

    def count_refusal(self, refused: Refused, request: Exchange) -> None:
        self.refused[refused.code.name] += 1
        self._usage.refuse(request.segments[0], refused)

    def serve(self, request: Exchange) -> None:
        if self.draining:
            raise Refused(
                DRAINING, "The server is shutting down, and nobody was disconnected: send it again in a moment."
            )
        account, nonce = self._publishers.of_request(request)
        disconnect = read_disconnect(read_json_object(request.header("content-type"), request.body()))
        counted = self._engine.disconnect(account, disconnect, revoked_from(self._wall()), nonce)
        self.under_way += 1
        counted.addBoth(self._is_over)
        counted.addCallback(self._disconnected, request)
        counted.addErrback(self.failed, request)

    def _is_over(self, result: T) -> T:
        self.under_way -= 1
        return result

    @staticmethod
    def _disconnected(count: int, request: Exchange) -> None:
        request.answer(200, b"application/json", b'{"disconnected":%d}\n' % count)
