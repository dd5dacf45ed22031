"""POST /{apiKey}/push/{identifier}: one push.

A push goes down through the rooms once. Its steps:

1. `http`: the fast path (or twisted.web) reads the request and finds this endpoint.
2. `publishers`: the head becomes an account and a verifier. A signature over the whole request, or an API secret, is
   checked here, so that nothing is parsed for a stranger.
3. `http/bodies`: the bytes of the body become a mapping.
4. `core/admission`: the mapping becomes a draft, or is refused. The last check is the verifier, which knows `secure`.
5. `engine`: the draft gets its position, goes into its ring, and is announced to `delivery/registry`.
6. Back up here, once: the receipt becomes the answer, and `http` writes it.
"""

from collections import Counter
from typing import TypeVar

from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.core.account_rules import check_rules
from cometify.core.admission import AS_SENT, PARAMETERS, admit
from cometify.core.errors import DRAINING, Refused
from cometify.core.integer import write_integer
from cometify.core.push import Draft, Receipt
from cometify.core.usage import Usage
from cometify.delivery.registry import Registry
from cometify.http.bodies import read_parameters
from cometify.http.exchange import Exchange
from cometify.http.site import Endpoint
from cometify.interfaces import IAppend
from cometify.transports.publishers import Publishers
from cometify.transports.push_headers import IDEMPOTENCY_KEY, read_idempotency_key

T = TypeVar("T")


class PushEndpoint(Endpoint):
    """Takes single pushes, and counts those of batches too.

    `accepted`: the pushes that the engine has taken. `refused`: the requests that were refused, by code. `under_way`: the
    requests that the engine has not answered yet. There are no CORS headers, because pushing needs the API secret, and
    no page should hold that.
    """

    methods = (b"POST",)
    allows_fast_path = True
    draining = False

    def __init__(self, engine: IAppend, registry: Registry, publishers: Publishers, usage: Usage) -> None:
        self._engine = engine
        self._registry = registry
        self._usage = usage
        self._counts = usage.figures()
        self.publishers = publishers
        self.accepted = 0
        self.under_way = 0
        self.refused: Counter[str] = Counter()

    def count_refusal(self, refused: Refused, request: Exchange) -> None:
        self.refused[refused.code.name] += 1
        self._usage.refuse(request.segments[0], refused)

    def wrong_method(self, method: bytes, allowed: str) -> str:
        return no_page_pushes() if method == b"OPTIONS" else super().wrong_method(method, allowed)

    def serve(self, request: Exchange) -> None:
        if self.draining:
            raise draining()
        account, verify = self.publishers.of_push(request)
        header = request.header
        parameters = read_parameters(header("content-type"), request.body(), PARAMETERS, AS_SENT)
        key = None if header(IDEMPOTENCY_KEY) is None else read_idempotency_key(request)
        draft = admit(parameters, request.segments[2], verify, key)
        assert account is not None  # the verifier has refused an unknown API key
        if account.private or draft.identifier.is_extended or draft.event is not None:
            check_rules(account, draft)
        appended = self._engine.append(account, draft) if key is None else self.append(account, draft)
        # The only place that tells an engine that answers at once from one that answers later. A helper for both would
        # cost 2.5 % of a push to the engine in memory.
        if isinstance(appended, Receipt):
            self._pushed(appended, request, draft)
        else:
            request.forget_body()  # the draft may wait for long, and its publisher may have left
            self.answer_later(appended.addCallback(self._pushed, request, draft), request)

    def append(self, account: Account, draft: Draft) -> Receipt | Deferred[Receipt]:
        """Give a draft to the engine. See `IEngine.append`."""
        if draft.key is not None:
            # The engine remembers the answer with the key, so the count must be made before.
            draft.listeners = self._count(account.api_key, draft)
        return self._engine.append(account, draft)

    def answer_later(self, waiting: Deferred[None], request: Exchange) -> None:
        """Count a request as under way until `waiting` fires, and answer it if that fails."""
        self.under_way += 1
        waiting.addErrback(self.failed, request).addBoth(self._is_over)

    def _is_over(self, result: T) -> T:
        self.under_way -= 1
        return result

    def _pushed(self, receipt: Receipt, request: Exchange, draft: Draft) -> None:
        request.prefer()
        body = f"{self.receipt_json(receipt, request.segments[0], draft)}\n".encode()
        request.answer(200, b"application/json", body)

    def receipt_json(self, receipt: Receipt, api_key: str, draft: Draft) -> str:
        """Return the JSON that tells a publisher of one push, and count the push unless it is a duplicate."""
        if receipt.duplicate:
            listeners, duplicate = receipt.listeners, ',"duplicate":true'
        else:
            self.accepted += 1
            counts = self._counts.get(api_key) or self._usage.of(api_key)  # nearly always without the call
            counts.pushed(draft.size)
            listeners = self._count(api_key, draft) if draft.key is None else draft.listeners
            duplicate = ""
        push_id = "null" if draft.push_id is None else write_integer(draft.push_id)
        return (
            f'{{"identifier":"{draft.identifier.folded}","push_id":{push_id},'
            f'"position":{receipt.position},"listeners":{listeners}{duplicate}}}'
        )

    def _count(self, api_key: str, draft: Draft) -> int:
        """Return how many of the listeners on this node the push may reach."""
        return self._registry.count((api_key, draft.identifier.folded), draft.secret, draft.push_id, draft.excluded)


def no_page_pushes() -> str:
    """Tell the author of a page why its preflight (WHATWG Fetch) is refused."""
    return (
        "A page cannot push, because a push needs the API secret, and everybody can read what a page holds. Have the page "
        "call your back end, and push from there with POST. There is no CORS here."
    )


def draining() -> Refused:
    """Make the refusal of a push while the server shuts down."""
    return Refused(DRAINING, "The server is shutting down, and nothing was pushed: push again in a moment.")
