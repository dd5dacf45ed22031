"""POST /{apiKey}/push/{identifier}: the one way in."""

from collections import Counter

from cometify.core.admission import admit, read_key
from cometify.core.errors import DRAINING, REPEATED_PARAMETER, Code, Refused
from cometify.core.integer import write_integer
from cometify.core.push import Draft, Push, Receipt
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
        if request.header("idempotency-key") is not None:
            draft.key = read_key(_only(request, "idempotency-key"))
            draft.listeners = self._count(api_key, draft, _LATEST)  # the engine remembers what is answered
        appended = self._engine.append(account, draft)
        receipt = getattr(appended, "result", None)
        if isinstance(receipt, Receipt):  # the embedded engine has it at once: two callbacks cost as much as its work
            self._pushed(receipt, request, api_key, draft)
            return
        appended.addCallback(self._pushed, request, api_key, draft)
        appended.addErrback(self.failed, request)

    def _pushed(self, receipt: Receipt, request: Exchange, api_key: str, draft: Draft) -> None:
        if receipt.duplicate:
            listeners, more = receipt.listeners, ',"duplicate":true'
        else:
            self.accepted += 1
            listeners = self._count(api_key, draft, receipt.position) if draft.key is None else draft.listeners
            more = ""
        push_id = "null" if draft.push_id is None else write_integer(draft.push_id)
        body = (
            f'{{"identifier":"{draft.identifier.folded}","push_id":{push_id},'
            f'"position":{receipt.position},"listeners":{listeners}{more}}}\n'
        )
        request.answer(200, b"application/json", body.encode())

    def _count(self, api_key: str, draft: Draft, position: int) -> int:
        """How many of the listeners joined here the push may reach."""
        folded = draft.identifier.folded
        return self._registry.count((api_key, folded), Push(folded, draft.push_id, draft.secret, position, b""))


_LATEST = 2**63
"""Above every position: who has joined wants what comes next."""


def _only(request: Exchange, name: str) -> str | None:
    """The value of a header that may be given once. Raises `Refused` (repeated_parameter)."""
    values = request.headers(name)
    if len(values) > 1:
        raise Refused(REPEATED_PARAMETER, f"The header {name} is given more than once: send it once.")
    return values[0] if values else None
