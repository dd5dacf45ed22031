"""POST /{apiKey}/push/{identifier}, and POST /{apiKey}/push with a batch: the ways in."""

from collections import Counter
from collections.abc import Callable, Sequence

from twisted.internet import defer
from twisted.python.failure import Failure

from cometify.core.account import Account
from cometify.core.admission import admit, admit_batch, admit_sealed, read_key
from cometify.core.errors import (
    DRAINING,
    ENGINE_UNAVAILABLE,
    MISSING_PARAMETER,
    OVERLOADED,
    REPEATED_PARAMETER,
    UNSUPPORTED_MEDIA_TYPE,
    Code,
    Refused,
)
from cometify.core.hmac_signature import NONCE, SIGNATURE, TIMESTAMP, SignedRequest, check_signed_request
from cometify.core.integer import write_integer
from cometify.core.push import Draft, Receipt, bind
from cometify.delivery.registry import Registry
from cometify.http.bodies import read_fields
from cometify.http.exchange import Exchange
from cometify.http.site import Endpoint
from cometify.interfaces import IAccounts, IEngine


class PushEndpoint(Endpoint):
    """No CORS headers: pushing needs the API secret, which no page should hold.

    `accepted`: how many pushes the engine has taken. `refused`: how many were refused, by code. `under_way`: how many the
    engine has been given and has not answered yet.
    """

    methods = (b"POST",)
    allows_fast_path = True
    draining = False

    def __init__(self, engine: IEngine, registry: Registry, accounts: IAccounts, wall: Callable[[], float]) -> None:
        self._engine = engine
        self._registry = registry
        self._accounts = accounts
        self._wall = wall
        self.accepted = 0
        self.under_way = 0
        self.refused: Counter[str] = Counter()

    def count_refusal(self, code: Code) -> None:
        self.refused[code.name] += 1

    def serve(self, request: Exchange) -> None:
        account = self.account(request)
        api_key, _push, identifier = request.segments
        header = request.header
        if header("cometify-signature") is None:
            draft = admit(account, api_key, identifier, read_fields(header("content-type"), request.body()))
        else:
            nonce = self.check_signed_request(account, request)
            draft = admit_sealed(identifier, read_fields(header("content-type"), request.body()), nonce)
        assert account is not None  # or the signature was refused
        key = None if header("idempotency-key") is None else idempotency_key(request)
        appended = self.append(account, draft, key)
        if isinstance(appended, Receipt):
            self._pushed(appended, request, api_key, draft)
            return
        self.under_way += 1
        appended.addCallback(self._pushed, request, api_key, draft)
        appended.addErrback(self.failed, request)
        appended.addCallback(self.is_over)

    def is_over(self, _answered: object) -> None:
        """A request that was under way has its answer."""
        self.under_way -= 1

    def account(self, request: Exchange) -> Account | None:
        """The account that the path names, if there is one. Raises `Refused` (draining)."""
        if self.draining:
            raise Refused(DRAINING, "The server is going down, nothing was pushed: push again in a moment.")
        return self._accounts.get(request.segments[0])

    def check_signed_request(self, account: Account | None, request: Exchange) -> str:
        """Check a request that must be signed with HMAC; its nonce. Raises `Refused`."""
        signed_request = SignedRequest(
            request.method,
            request.sent_path,
            request.body(),
            _of_seal(request, TIMESTAMP),
            _of_seal(request, NONCE),
            _of_seal(request, SIGNATURE),
        )
        check_signed_request(account, signed_request, self._wall())
        return signed_request.nonce

    def append(self, account: Account, draft: Draft, key: str | None) -> "Receipt | defer.Deferred[Receipt]":
        """Push, once for each `key`. See `IEngine.append`."""
        draft.key = key
        if key is not None:
            draft.listeners = self._count(account.api_key, draft)  # the engine remembers what is answered
        return self._engine.append(account, draft)

    def append_later(self, account: Account, draft: Draft, key: str | None) -> "defer.Deferred[Receipt]":
        """As `append`, for who pushes several."""
        try:
            appended = self.append(account, draft, key)
        except Refused:
            return defer.fail()
        return defer.succeed(appended) if isinstance(appended, Receipt) else appended

    def _pushed(self, receipt: Receipt, request: Exchange, api_key: str, draft: Draft) -> None:
        request.answer(200, b"application/json", f"{self.told(receipt, api_key, draft)}\n".encode())

    def told(self, receipt: Receipt, api_key: str, draft: Draft) -> str:
        """The JSON that tells the publisher of one push, which is counted."""
        if receipt.duplicate:
            listeners, more = receipt.listeners, ',"duplicate":true'
        else:
            self.accepted += 1
            listeners = self._count(api_key, draft) if draft.key is None else draft.listeners
            more = ""
        push_id = "null" if draft.push_id is None else write_integer(draft.push_id)
        return (
            f'{{"identifier":"{draft.identifier.folded}","push_id":{push_id},'
            f'"position":{receipt.position},"listeners":{listeners}{more}}}'
        )

    def _count(self, api_key: str, draft: Draft) -> int:
        """How many of the listeners joined here the push may reach."""
        return self._registry.count((api_key, draft.identifier.folded), draft.secret, draft.push_id)


class BatchEndpoint(Endpoint):
    """A JSON array of pushes in one request, signed with HMAC. `single`: what pushes and counts."""

    methods = (b"POST",)
    max_body = 8 * 2**20
    allows_fast_path = True

    def __init__(self, single: PushEndpoint) -> None:
        self._single = single

    def count_refusal(self, code: Code) -> None:
        self._single.count_refusal(code)

    def serve(self, request: Exchange) -> None:
        account = self._single.account(request)
        # The signature first: reading JSON of this size costs what no stranger may ask for.
        nonce = self._single.check_signed_request(account, request)
        kind = (request.header("content-type") or "application/json").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(UNSUPPORTED_MEDIA_TYPE, "Send the batch as application/json.")
        drafts = admit_batch(request.body(), nonce)
        assert account is not None  # or the signature was refused
        appended = self._append(account, drafts, idempotency_key(request))
        self._single.under_way += 1
        appended.addCallback(self._pushed, request, account.api_key, drafts)
        appended.addErrback(self.failed, request)
        appended.addCallback(self._single.is_over)

    def _append(self, account: Account, drafts: Sequence[Draft], key: str | None) -> "defer.Deferred[list[Receipt]]":
        """One after the other. The first goes alone, for it has the nonce: if that is refused, nothing is pushed."""
        # Each push has a key of its own, which no client can send, so that a batch cut in half is completed.
        keys = [None if key is None else f"{key}\n{index}" for index in range(len(drafts))]
        if not drafts:
            return defer.succeed([])
        if key is not None:
            bind(drafts)
        first = self._single.append_later(account, drafts[0], keys[0])
        return first.addCallback(self._append_others, account, drafts[1:], keys[1:])

    def _append_others(
        self, first: Receipt, account: Account, drafts: Sequence[Draft], keys: Sequence[str | None]
    ) -> "defer.Deferred[list[Receipt]]":
        others = [self._single.append_later(account, draft, key) for draft, key in zip(drafts, keys, strict=True)]
        return defer.gatherResults([defer.succeed(first), *others], consumeErrors=True).addErrback(_first_error)

    def _pushed(self, receipts: Sequence[Receipt], request: Exchange, api_key: str, drafts: Sequence[Draft]) -> None:
        told = [self._single.told(receipt, api_key, draft) for receipt, draft in zip(receipts, drafts, strict=True)]
        request.answer(200, b"application/json", f"[{','.join(told)}]\n".encode())


def _first_error(failure: Failure) -> Failure:
    """What went wrong with one of the appends, and not that one of them did."""
    assert isinstance(failure.value, defer.FirstError)
    first: Failure = failure.value.subFailure
    if isinstance(first.value, Refused) and first.value.code in (OVERLOADED, ENGINE_UNAVAILABLE):
        # Of this push perhaps nothing was pushed, but the first one of the batch was.
        return Failure(
            Refused(
                ENGINE_UNAVAILABLE,
                "Redis did not take the whole batch, and a part of the batch was pushed: send it again with the same "
                "Idempotency-Key, which pushes each once.",
            )
        )
    return first


def idempotency_key(request: Exchange) -> str | None:
    """The key of a request, None if it has none. Raises `Refused`."""
    if request.header("idempotency-key") is None:
        return None
    return read_key(_only(request, "Idempotency-Key"))


def _of_seal(request: Exchange, name: str) -> str:
    value = _only(request, name)
    if value is None:
        raise Refused(
            MISSING_PARAMETER,
            f"The header {name} is missing: a request signed with HMAC has {TIMESTAMP}, {NONCE} and {SIGNATURE}.",
        )
    return value


def _only(request: Exchange, name: str) -> str | None:
    """The value of a header that may be given once. Raises `Refused` (repeated_parameter)."""
    values = request.headers(name.lower())
    if len(values) > 1:
        raise Refused(REPEATED_PARAMETER, f"The header {name} is given more than once: send it once.")
    return values[0] if values else None
