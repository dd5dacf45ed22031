"""GET /{apiKey}/position: the account's newest position now.

A back end asks for it before it reads its database, and renders it into its page. The page listens from there, so no push
that came after the read is missed.
"""

from twisted.internet.defer import Deferred

from cometify.core.errors import Refused
from cometify.http.exchange import Exchange
from cometify.interfaces import IEngine
from cometify.transports.context import Context
from cometify.transports.http_listener import ListeningEndpoint, account_of


class PositionEndpoint(ListeningEndpoint):
    """Answers without a listener: it takes no slot, and needs no signature. Its headers are those of the transports."""

    methods = (b"GET",)

    def __init__(self, context: Context, engine: IEngine) -> None:
        super().__init__(context)
        self._engine = engine

    def count_refusal(self, refused: Refused, request: Exchange) -> None:
        """Count nothing, because nobody wanted to join."""

    def serve(self, request: Exchange) -> None:
        position = self._engine.position(account_of(request, self.context))
        if isinstance(position, Deferred):
            position.addCallback(_answer, request).addErrback(self.failed, request)
        else:
            _answer(position, request)


def _answer(position: int, request: Exchange) -> None:
    request.answer(200, b"application/json", b'{"position":%d}\n' % position)
