"""POST /{apiKey}/push: a JSON array of pushes in one request. `secure` cannot sign it: see `publishers`.

A batch goes down through the rooms once, by the same steps as a single push (see `push`).
"""

from collections import deque
from collections.abc import Sequence
from typing import TypeVar, cast

from twisted.internet.defer import Deferred, FirstError, gatherResults, maybeDeferred, succeed
from twisted.python.failure import Failure

from cometify.core.account import Account
from cometify.core.admission import AS_SENT, Verifier
from cometify.core.batch_admission import admit_batch, admit_in_steps
from cometify.core.errors import ENGINE_UNAVAILABLE, INVALID_BODY, OVERLOADED, Refused
from cometify.core.fair_room import FairRoom
from cometify.core.json_items import cut
from cometify.core.push import Draft, Receipt
from cometify.core.steps import Steps
from cometify.http.bodies import json_array_in_steps, read_json_array
from cometify.http.exchange import Exchange
from cometify.http.site import Endpoint
from cometify.transports.batch_turns import BatchTurns
from cometify.transports.push import PushEndpoint, draining
from cometify.transports.push_headers import SIGNATURE, read_idempotency_key

UNPROVEN_BODY = 64 * 1024
"""Bytes of a batch that are taken from anybody. More are kept only for a request that may be signed by its account."""
AT_ONCE = 128 * 1024
"""Bytes of texts that are given to the engine in one turn of the event loop. Writing their frames takes about 1 ms."""
LONG = 32 * 1024
"""Bytes of a body above which it is read and checked in portions. Reading a shorter one takes at most 2 ms."""
MOST_UNANSWERED = 96 * 2**20
"""Bytes of the bodies of all batches that are not answered yet. One account alone has half of it. Peers that are there have
32 MiB of long bodies. But a peer may leave, and its batch is pushed all the same."""

T = TypeVar("T")


class BatchEndpoint(Endpoint):
    """Takes batches. `single`: the endpoint that gives pushes to the engine and counts them. `turns`: those of long batches."""

    methods = (b"POST",)
    max_body = 8 * 2**20
    allows_fast_path = True

    def __init__(self, single: PushEndpoint, turns: BatchTurns) -> None:
        self._single = single
        self._turns = turns
        self._room = FairRoom(MOST_UNANSWERED)

    def count_refusal(self, refused: Refused, request: Exchange) -> None:
        self._single.count_refusal(refused, request)

    def body_limit(self, request: Exchange) -> int:
        return self.max_body if self._doubt(request) is None else UNPROVEN_BODY

    def hashes_body(self, request: Exchange) -> bool:
        return request.header(SIGNATURE) is not None

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
        body = request.body()
        size = len(body)
        if size > LONG:
            self._take_room(account, size)
            request.keep_body()
            admitted = self._turns.take(_admit_long(request, body, verify, account), size)
        else:
            pushes = read_json_array(request.header("content-type"), body, AS_SENT)
            drafts = admit_batch(pushes, verify, account, read_idempotency_key(request))
            self._take_room(account, size)
            request.forget_body()
            admitted = succeed(drafts)
        pushed = admitted.addCallback(self._push, request, account)
        pushed.addBoth(self._leave_room, account, size)
        self._single.answer_later(pushed, request)

    def _take_room(self, account: Account, size: int) -> None:
        """Take room for a batch until it is answered. Raises `Refused`: overloaded."""
        if not self._room.take(account.api_key, size):
            raise Refused(
                OVERLOADED,
                "More comes in batches than the server keeps, and nothing was pushed: push again in a moment.",
            )

    def _leave_room(self, result: T, account: Account, size: int) -> T:
        self._room.leave(account.api_key, size)
        return result

    def _push(self, drafts: Sequence[Draft], request: Exchange, account: Account) -> Deferred[None]:
        _check_burst(account, len(drafts))
        return self._append(account, drafts).addCallback(self._pushed, request, drafts)

    def _append(self, account: Account, drafts: Sequence[Draft]) -> Deferred[list[Receipt]]:
        """Give the drafts to the engine, in their order.

        The first goes alone, because it has the nonce and counts for the whole batch: if it is refused, nothing is pushed.
        """
        if not drafts:
            return succeed([])
        return self._append_one(account, drafts[0]).addCallback(self._append_others, account, drafts[1:])

    def _append_others(self, first: Receipt, account: Account, drafts: Sequence[Draft]) -> Deferred[list[Receipt]]:
        """Give the engine a long batch in portions, because 100 of the longest texts take 30 ms.

        A portion waits until the engine has answered the last but one. Otherwise the frames of the whole batch would wait for
        Redis beside its texts.
        """
        receipts, left = [succeed(first)], deque(drafts)
        appended: Deferred[list[Receipt]] = Deferred()

        def append_portion() -> None:
            before, size = receipts[-1], 0
            while left and size < AT_ONCE:
                draft = left.popleft()
                size += draft.size
                receipts.append(self._append_one(account, draft))
            if left:
                before.addBoth(append_next)
            else:
                gatherResults(receipts, consumeErrors=True).addErrback(_first_error).chainDeferred(appended)

        def append_next(receipt: T) -> T:
            self._turns.wait(append_portion)
            return receipt

        if sum(draft.size for draft in drafts) > AT_ONCE:
            self._turns.wait(append_portion)
        else:
            append_portion()
        return appended

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


def _admit_long(request: Exchange, body: bytes, verify: Verifier, account: Account) -> Steps[list[Draft]]:
    pieces = cut(body)
    del body
    request.forget_body()
    pushes = yield from json_array_in_steps(request.header("content-type"), pieces, AS_SENT)
    return (yield from admit_in_steps(pushes, verify, account, read_idempotency_key(request)))


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
