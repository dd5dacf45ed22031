"""POST /{apiKey}/push/{identifier}: the one way in."""

from collections import Counter

from cometify.core.admission import admit
from cometify.core.errors import DRAINING, Code, Refused
from cometify.core.integer import write_integer
from cometify.core.push import Push
from cometify.interfaces import IAccounts, IEngine
from cometify.registry import Registry
from cometify.transports.exchange import Exchange
from cometify.transports.form import read_fields
from cometify.transports.http import Endpoint


class PushEndpoint(Endpoint):
    """No CORS headers: pushing needs the API secret, which no page should hold.

    `accepted`: how many pushes the engine has taken. `refused`: how many were refused, by code.
    """

    methods = (b"POST",)
    quick = True
    draining = False

    def __init__(self, engine: IEngine, registry: Registry, accounts: IAccounts) -> None:
        self._engine = engine
        self._registry = registry
        self._accounts = accounts
        self.accepted = 0
        self.refused: Counter[str] = Counter()

    def count_refusal(self, code: Code) -> None:
        self.refused[code.name] += 1

    def serve(self, request: Exchange) -> None:
        if self.draining:
            raise Refused(DRAINING, "The server is going down, nothing was pushed: push again in a moment.")
        api_key, _push, identifier = request.segments
        account = self._accounts.get(api_key)
        fields = read_fields(request.header("content-type"), request.body())
        draft = admit(account, api_key, identifier, fields)
        assert account is not None  # or admit has refused
        appended = self._engine.append(account, draft)
        push = getattr(appended, "result", None)
        if isinstance(push, Push):  # the embedded engine has it at once: two callbacks cost as much as its work
            self._pushed(push, request, api_key)
            return
        appended.addCallback(self._pushed, request, api_key)
        appended.addErrback(self.failed, request)

    def _pushed(self, push: Push, request: Exchange, api_key: str) -> None:
        self.accepted += 1
        push_id = "null" if push.push_id is None else write_integer(push.push_id)
        listeners = self._registry.count((api_key, push.identifier), push)
        body = f'{{"identifier":"{push.identifier}","push_id":{push_id},"position":{push.position},"listeners":{listeners}}}\n'
        request.answer(200, b"application/json", body.encode())
