"""POST /{apiKey}/push/{identifier}, and POST /{apiKey}/push with a batch: the ways in."""

from collections import Counter
from collections.abc import Callable, Sequence

from twisted.internet import defer
from twisted.python.failure import Failure

from cometify.core.account import Account
from cometify.core.admission import admit, admit_batch, admit_sealed
from cometify.core.errors import (
    DRAINING,
    MISSING_PARAMETER,
    REPEATED_PARAMETER,
    UNSUPPORTED_MEDIA_TYPE,
    Code,
    Refused,
)
from cometify.core.integer import write_integer
from cometify.core.push import Draft, Push
from cometify.core.seal import NONCE, SIGNATURE, TIMESTAMP, Seal, check_seal
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

    def __init__(self, engine: IEngine, registry: Registry, accounts: IAccounts, wall: Callable[[], float]) -> None:
        self.engine = engine
        self._registry = registry
        self._accounts = accounts
        self._wall = wall
        self.accepted = 0
        self.refused: Counter[str] = Counter()

    def count_refusal(self, code: Code) -> None:
        self.refused[code.name] += 1

    def serve(self, request: Exchange) -> None:
        account = self.account(request)
        api_key, _push, identifier = request.segments
        if request.header("cometify-signature") is None:
            draft = admit(account, api_key, identifier, read_fields(request.header("content-type"), request.body()))
        else:
            nonce = self.check_seal(account, request)
            draft = admit_sealed(identifier, read_fields(request.header("content-type"), request.body()), nonce)
        assert account is not None  # or the signature was refused
        appended = self.engine.append(account, draft)
        push = getattr(appended, "result", None)
        if isinstance(push, Push):  # the embedded engine has it at once: two callbacks cost as much as its work
            self._pushed(push, request, api_key)
            return
        appended.addCallback(self._pushed, request, api_key)
        appended.addErrback(self.failed, request)

    def account(self, request: Exchange) -> Account | None:
        """The account that the path names, if there is one. Raises `Refused` (draining)."""
        if self.draining:
            raise Refused(DRAINING, "The server is going down, nothing was pushed: push again in a moment.")
        return self._accounts.get(request.segments[0])

    def check_seal(self, account: Account | None, request: Exchange) -> str:
        """Check a request that must be signed with HMAC; its nonce. Raises `Refused`."""
        seal = Seal(
            request.method,
            request.sent_path,
            request.body(),
            _only(request, TIMESTAMP),
            _only(request, NONCE),
            _only(request, SIGNATURE),
        )
        check_seal(account, seal, self._wall())
        return seal.nonce

    def _pushed(self, push: Push, request: Exchange, api_key: str) -> None:
        request.answer(200, b"application/json", f"{self.told(push, api_key)}\n".encode())

    def told(self, push: Push, api_key: str) -> str:
        """The JSON that tells the publisher of one push, which is counted."""
        self.accepted += 1
        push_id = "null" if push.push_id is None else write_integer(push.push_id)
        listeners = self._registry.count((api_key, push.identifier), push)
        return f'{{"identifier":"{push.identifier}","push_id":{push_id},"position":{push.position},"listeners":{listeners}}}'


def _only(request: Exchange, name: str) -> str:
    values = request.headers(name.lower())
    if not values:
        raise Refused(
            MISSING_PARAMETER,
            f"The header {name} is missing: a request signed with HMAC has {TIMESTAMP}, {NONCE} and {SIGNATURE}.",
        )
    if len(values) > 1:
        raise Refused(REPEATED_PARAMETER, f"The header {name} is given more than once: send it once.")
    return values[0]


class BatchEndpoint(Endpoint):
    """A JSON array of pushes in one request, signed with HMAC. `single`: what pushes and counts."""

    methods = (b"POST",)
    max_body = 8 * 2**20
    quick = True

    def __init__(self, single: PushEndpoint) -> None:
        self._single = single

    def count_refusal(self, code: Code) -> None:
        self._single.count_refusal(code)

    def serve(self, request: Exchange) -> None:
        account = self._single.account(request)
        # The signature first: reading JSON of this size costs what no stranger may ask for.
        nonce = self._single.check_seal(account, request)
        kind = (request.header("content-type") or "application/json").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(UNSUPPORTED_MEDIA_TYPE, "Send the batch as application/json.")
        drafts = admit_batch(request.body(), nonce)
        assert account is not None  # or the signature was refused
        appended = self._append(account, drafts)
        appended.addCallback(self._pushed, request, account.api_key)
        appended.addErrback(self.failed, request)

    def _append(self, account: Account, drafts: Sequence[Draft]) -> "defer.Deferred[list[Push]]":
        """One after the other. The first goes alone, for it has the nonce: if that is refused, nothing is pushed."""
        if not drafts:
            return defer.succeed([])
        first = self._single.engine.append(account, drafts[0])
        return first.addCallback(self._append_others, account, drafts[1:])

    def _append_others(self, push: Push, account: Account, drafts: Sequence[Draft]) -> "defer.Deferred[list[Push]]":
        others = [self._single.engine.append(account, draft) for draft in drafts]
        return defer.gatherResults([defer.succeed(push), *others], consumeErrors=True).addErrback(_first_error)

    def _pushed(self, pushes: Sequence[Push], request: Exchange, api_key: str) -> None:
        told = ",".join([self._single.told(push, api_key) for push in pushes])
        request.answer(200, b"application/json", f"[{told}]\n".encode())


def _first_error(failure: Failure) -> Failure:
    """What went wrong with one of the appends, and not that one of them did."""
    assert isinstance(failure.value, defer.FirstError)
    return failure.value.subFailure
