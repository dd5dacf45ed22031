"""The URL tree."""

from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.docs_site import docs_endpoints
from cometify.http.exchange import Exchange
from cometify.http.site import Endpoint, Tree
from cometify.http.static_files import page_endpoints, static_endpoints
from cometify.runtime.reactor import Reactor
from cometify.transports.back_end import (
    BackEnd,
    IdentifierEndpoint,
    IdentifiersEndpoint,
    KeptPushesEndpoint,
    UsageEndpoint,
)
from cometify.transports.batch import BatchEndpoint
from cometify.transports.batch_turns import BatchTurns
from cometify.transports.context import Context
from cometify.transports.disconnect import DisconnectEndpoint
from cometify.transports.events import EventsEndpoint
from cometify.transports.poll import PollEndpoint
from cometify.transports.position import PositionEndpoint
from cometify.transports.push import PushEndpoint
from cometify.transports.stream import StreamEndpoint
from cometify.transports.websocket_handshake import WebSocketEndpoint


class _Nowhere(Endpoint):
    methods = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS")

    def serve(self, request: Exchange) -> None:
        raise Refused(
            errors.NOT_FOUND,
            "There is nothing at this path. Push with POST /{apiKey}/push/{identifier}; listen at /{apiKey}/websocket, "
            "/stream, /events or /poll; ask for the newest position with GET /{apiKey}/position; "
            "disconnect a visitor with POST /{apiKey}/disconnect; ask what is in use with GET /{apiKey}/identifiers, and "
            "how much was used with GET /{apiKey}/usage.",
        )


class Root(Tree):
    """Finds the endpoint of a path: /{apiKey}/push/{identifier}, /{apiKey}/push, /{apiKey}/{transport}, and so on.

    `pages`: the page at / and the documentation are served too.
    """

    def __init__(
        self,
        push: PushEndpoint,
        disconnect: DisconnectEndpoint,
        position: PositionEndpoint,
        back_end: BackEnd,
        context: Context,
        reactor: Reactor,
        *,
        pages: bool = True,
    ) -> None:
        super().__init__()
        self._push = push
        self._static = {**static_endpoints(), **page_endpoints(), **docs_endpoints()} if pages else static_endpoints()
        self.has_docs = ("docs", "errors.html") in self._static
        self._at_key: dict[str, Endpoint] = {
            "push": BatchEndpoint(push, BatchTurns(context.later)),
            "disconnect": disconnect,
            "websocket": WebSocketEndpoint(context, reactor),
            "stream": StreamEndpoint(context),
            "events": EventsEndpoint(context),
            "poll": PollEndpoint(context),
            "position": position,
            "identifiers": IdentifiersEndpoint(back_end),
            "usage": UsageEndpoint(back_end),
        }
        self._identifier = IdentifierEndpoint(back_end)
        self._kept_pushes = KeptPushesEndpoint(back_end)
        self._nowhere = _Nowhere()

    def find(self, path: tuple[str, ...]) -> Endpoint:
        static = self._static.get(path)
        if static is not None:
            return static
        if len(path) == 3 and path[1] == "push":
            return self._push
        if len(path) == 2 and path[0]:
            return self._at_key.get(path[1], self._nowhere)
        if len(path) in (3, 4) and path[1] == "identifiers":
            return self._of_identifier(path)
        return self._nowhere

    def _of_identifier(self, path: tuple[str, ...]) -> Endpoint:
        if len(path) == 3:
            return self._identifier
        return self._kept_pushes if path[3] == "pushes" else self._nowhere


class WebSocketRoot(Tree):
    """The tree of the WebSocket port: one endpoint, at the same path as on the HTTP port."""

    def __init__(self, context: Context, reactor: Reactor) -> None:
        super().__init__()
        self._websocket = WebSocketEndpoint(context, reactor)
        self._nowhere = _Nowhere()

    def find(self, path: tuple[str, ...]) -> Endpoint:
        return self._websocket if len(path) == 2 and path[1] == "websocket" else self._nowhere
