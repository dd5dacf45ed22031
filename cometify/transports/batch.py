"""POST /{apiKey}/push: a JSON array of pushes in one request. `secure` cannot sign it: see `publishers`.

A batch goes down through the rooms once, by the same steps as a single push (see `push`).
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from twisted.internet.defer import Deferred, FirstError, gatherResults, maybeDeferred, succeed
from twisted.python.failure import Failure

from cometify.core.account import Account
from cometify.core.admission import AS_SENT, admit_batch
from cometify.core.errors import ENGINE_UNAVAILABLE, INVALID_BODY, OVERLOADED, Refused
from cometify.core.push import Draft, Receipt
from cometify.http.bodies import read_json_array
from cometify.http.exchange import Exchange
from cometify.http.site import Endpoint
from cometify.runtime.reactor import CallLater
from cometify.transports.push import PushEndpoint, draining
from cometify.transports.push_headers import read_idempotency_key

UNPROVEN_BODY = 64 * 1024
"""Bytes of a batch that are taken from anybody. More are kept only for a request that may be signed by its account."""
AT_ONCE = 128 * 1024
"""Bytes of texts that are given to the engine in one turn of the event loop. Writing their frames takes about 1 ms."""


class BatchEndpoint(Endpoint):
    """Takes batches. `single`: the endpoint that gives pushes to the engine and counts them. `later`: reactor.callLater."""

    methods = (b"POST",)
    max_body = 8 * 2**20
    allows_fast_path = True

    def __init__(self, single: PushEndpoint, later: CallLater) -> None:
        self._single = single
        self._later = later
        self._portions: deque[Callable[[], None]] = deque()  # of all batches that are too long for one turn

    def count_refusal(self, refused: Refused, request: Exchange) -> None:
        self._single.count_refusal(refused, request)

    def body_limit(self, request: Exchange) -> int:
        return self.max_body if self._doubt(request) is None else UNPROVEN_BODY

    def too_large(self, request: Exchange) -> Refused:
        return self._doubt(request) or super().too_large(request)

    def _doubt(self, request: Exchange) -> Refused | None:
        """Return the refusal of a batch whose head tells that it cannot be genuine, or None if it may be."""
        try:
            self.check_method(request)
            self._single.publishers.check_head_of_batch(request)
        except Refused as refused:
            return refused
        return None

    def wrong_method(self, method: bytes, allowed: str) -> str:
        return self._single.wrong_method(method, allowed)

    def serve(self, request: Exchange) -> None:
        if self._single.draining:
            raise draining()
        # The publisher comes first, because parsing 8 MiB of JSON is work that no stranger may ask for.
        account, verify = self._single.publishers.of_batch(request)
        pushes = read_json_array(request.header("content-type"), request.body(), AS_SENT)
        drafts = admit_batch(pushes, verify, account, read_idempotency_key(request))
        _check_burst(account, len(drafts))
        appended = self._append(account, drafts)
        self._single.answer_later(appended.addCallback(self._pushed, request, drafts), request)

    def _append(self, account: Account, drafts: Sequence[Draft]) -> Deferred[list[Receipt]]:
        """Give the drafts to the engine, in their order.

        The first goes alone, because it has the nonce and counts for the whole batch: if it is refused, nothing is pushed.
        """
        if not drafts:
            return succeed([])
        return self._append_one(account, drafts[0]).addCallback(self._append_others, account, drafts[1:])

    def _append_others(self, first: Receipt, account: Account, drafts: Sequence[Draft]) -> Deferred[list[Receipt]]:
        """Give the engine a long batch in portions, because 100 of the longest texts take 30 ms."""
        receipts, left = [succeed(first)], deque(drafts)
        appended: Deferred[list[Receipt]] = Deferred()

        def append_portion() -> None:
            size = 0
            while left and size < AT_ONCE:
                draft = left.popleft()
                size += draft.size
                receipts.append(self._append_one(account, draft))
            if left:
                self._wait_for_turn(append_portion)
            else:
                gatherResults(receipts, consumeErrors=True).addErrback(_first_error).chainDeferred(appended)

        if sum(draft.size for draft in drafts) > AT_ONCE:
            self._wait_for_turn(append_portion)
        else:
            append_portion()
        return appended

    def _wait_for_turn(self, append_portion: Callable[[], None]) -> None:
        """Append a portion in a later turn of the event loop. Each turn has one, and batches have them by turns."""
        if not self._portions:
            self._later(0, self._append_next)
        self._portions.append(append_portion)

    def _append_next(self) -> None:
        try:
            self._portions[0]()  # stays there, so that it sets no second call if it waits for its next turn
        finally:
            self._portions.popleft()
            if self._portions:
                self._later(0, self._append_next)

    def _append_one(self, account: Account, draft: Draft) -> Deferred[Receipt]:
        # maybeDeferred waits for a Deferred that the call returns, but its type does not say so.
        return cast("Deferred[Receipt]", maybeDeferred(self._single.append, account, draft))

    def _pushed(self, receipts: Sequence[Receipt], request: Exchange, drafts: Sequence[Draft]) -> None:
        api_key = request.segments[0]
        answers = [
            self._single.receipt_json(receipt, api_key, draft) for receipt, draft in zip(receipts, drafts, strict=True)
        ]
        request.prefer()
        request.answer(200, b"application/json", f"[{','.join(answers)}]\n".encode())


def _check_burst(account: Account, count: int) -> None:
    """Check that a batch can be pushed at all. Raises `Refused`: invalid_body, because waiting would not help."""
    if account.pushes_per_second is not None and count > account.burst:
        raise Refused(
            INVALID_BODY,
            f"This batch has {count} pushes, and the account may push {account.burst} at once: send smaller batches, or raise "
            "push_burst of the account.",
        )


def _first_error(failure: Failure) -> Failure:
    """Return the failure of the append that failed first, out of the FirstError that gatherResults wraps it in."""
    assert isinstance(failure.value, FirstError)
    first: Failure = failure.value.subFailure
    if isinstance(first.value, Refused) and first.value.code in (OVERLOADED, ENGINE_UNAVAILABLE):
        # These promise that nothing of this push was pushed, or leave it open. The first push of the batch was pushed.
        return Failure(
            Refused(
                ENGINE_UNAVAILABLE,
                "Redis did not take the whole batch, and a part of the batch was pushed: send it again with the same "
                "Idempotency-Key, which pushes each once. Without a key that part is pushed twice.",
            )
        )
    return first
