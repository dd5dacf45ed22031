"""POST /{apiKey}/push/{identifier}: the one way in."""

import json
from collections import Counter

from cometify.core.admission import admit
from cometify.core.errors import DRAINING, Code, Refused
from cometify.core.integer import MAX_EXACT
from cometify.core.push import Push
from cometify.interfaces import IAccounts, IEngine
from cometify.registry import Registry
from cometify.transports.form import read_fields
from cometify.transports.http import Endpoint, Request


class PushEndpoint(Endpoint):
    """No CORS headers: pushing needs the API secret, which no page should hold.

    `accepted`: how many pushes the engine has taken. `refused`: how many were refused, by code.
    """

    methods = (b"POST",)
    draining = False

    def __init__(self, engine: IEngine, registry: Registry, accounts: IAccounts) -> None:
        super().__init__()
        self._engine = engine
        self._registry = registry
        self._accounts = accounts
        self.accepted = 0
        self.refused: Counter[str] = Counter()

    def count_refusal(self, code: Code) -> None:
        self.refused[code.name] += 1

    def serve(self, request: Request) -> None:
        if self.draining:
            raise Refused(DRAINING, "The server is going down, nothing was pushed: push again in a moment.")
        api_key, _push, identifier = [segment.decode("utf-8", "replace") for segment in request.postpath]
        account = self._accounts.get(api_key)
        fields = read_fields(request.header("Content-Type"), request.body())
        draft = admit(account, api_key, identifier, fields)
        assert account is not None  # or admit has refused
        appended = self._engine.append(account, draft)
        appended.addCallback(self._pushed, request, api_key)
        appended.addErrback(self.failed, request)

    def _pushed(self, push: Push, request: Request, api_key: str) -> None:
        self.accepted += 1
        body = {
            "identifier": push.identifier,
            "push_id": push.push_id,
            "position": push.position,
            "listeners": self._registry.count((api_key, push.identifier), push),
        }
        if push.push_id is not None and push.push_id > MAX_EXACT:
            body["push_id"] = str(push.push_id)
        request.answer(200, b"application/json", json.dumps(body, separators=(",", ":")).encode() + b"\n")
