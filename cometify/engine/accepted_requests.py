"""The requests of an account that the memory engine has accepted within ten minutes: their nonces, and their answers.

An answer is kept for each push with an Idempotency-Key, and a nonce for each request that is signed with HMAC. A publisher
can send any number of them, so both are bounded, each by `request_memory` of the account. At the bound a new request is
refused. An older one must not be forgotten instead, because it could be sent again then.

An answer is packed into one `bytes`, which takes a third of the memory of objects, and which the garbage collector need not
visit.
"""

from struct import Struct

from cometify.core.account import Account
from cometify.core.push import Draft, Receipt
from cometify.core.ttl_map import TTLMap
from cometify.engine import refusals

# The position, the number of listeners, and the fingerprint of the draft.
_ANSWER = Struct("<QQ32s")


class AcceptedRequests:
    """The nonces and the answers of one account. Every `now` is in microseconds, of the engine's clock."""

    __slots__ = ("_answers", "_nonces")

    def __init__(self) -> None:
        self._answers: TTLMap[str, bytes] = TTLMap()
        self._nonces: TTLMap[str, bool] = TTLMap()

    def __len__(self) -> int:
        return len(self._answers) + len(self._nonces)

    def answer(self, account: Account, draft: Draft, now: int) -> Receipt | None:
        """The answer that was given to the same Idempotency-Key, which the draft has; None if there was none.

        Raises `Refused`: idempotency_mismatch, or too_many_pushes. The first draft of a batch needs room for all of it.
        """
        assert draft.key is not None
        answer = self._answers.get(draft.key, now)
        if answer is None:
            if draft.cost and (wait := self._answers.wait(draft.cost, account.request_memory, now)):
                raise refusals.too_many_requests(account, wait)
            return None
        position, listeners, fingerprint = _ANSWER.unpack(answer)
        if fingerprint != draft.fingerprint:
            raise refusals.idempotency_mismatch()
        return Receipt(position, True, listeners)

    def note(self, draft: Draft, position: int, now: int) -> None:
        """Remember the answer to a draft with an Idempotency-Key."""
        assert draft.key is not None
        self._answers.first(draft.key, _ANSWER.pack(position, draft.listeners, draft.fingerprint), now)

    def use_nonce(self, account: Account, nonce: str, now: int) -> None:
        """Remember a nonce. Raises `Refused`: nonce_reused, or too_many_pushes."""
        wait = self._nonces.wait(1, account.request_memory, now)
        if self._nonces.get(nonce, now) if wait else self._nonces.first(nonce, True, now):
            raise refusals.nonce_reused()
        if wait:
            raise refusals.too_many_requests(account, wait)

    def forget(self, now: int, most: int) -> int:
        """Forget what is ten minutes old in at most `most` steps. Returns their number."""
        count = self._answers.forget(now, most)
        return count + self._nonces.forget(now, most - count)
