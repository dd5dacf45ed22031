"""Admission of a batch: each of its pushes is checked as `core.admission` does, before any of them is pushed."""

from collections.abc import Sequence

from cometify.core.account import Account
from cometify.core.account_rules import check_rules
from cometify.core.admission import Verifier, admit, checked_already, checked_key
from cometify.core.errors import INVALID_BODY, Refused
from cometify.core.push import Draft, bind, bind_in_steps
from cometify.core.steps import Steps

MAX_BATCH = 100
"""The most pushes in one request."""


def admit_batch(
    pushes: Sequence[object], verify: Verifier, account: Account, idempotency_key: str | None = None
) -> list[Draft]:
    """Return the drafts of a batch, in its order. All are checked before any is pushed.

    `verify` is called for the first alone, because it notes the nonce of the whole request. The first also counts for the
    whole batch, so that nothing is pushed if the engine refuses it. Raises `Refused`; the detail
    names the push by its number, from 1.
    """
    _check_count(pushes)
    drafts = [
        _admit_numbered(number, parameters, verify if number == 1 else checked_already, account)
        for number, parameters in enumerate(pushes, 1)
    ]
    _count_as_one(drafts)
    if idempotency_key is not None:
        bind(drafts, checked_key(idempotency_key))
    return drafts


def admit_in_steps(
    pushes: list[object], verify: Verifier, account: Account, idempotency_key: str | None = None
) -> Steps[list[Draft]]:
    """Do the same in steps, because to read `data` of 100 pushes can take half a second.

    Empties `pushes`, because the drafts of long values would else need twice the memory.
    """
    _check_count(pushes)
    drafts: list[Draft] = []
    pushes.reverse()
    while pushes:
        check = checked_already if drafts else verify
        drafts.append(_admit_numbered(len(drafts) + 1, pushes.pop(), check, account))
        yield
    _count_as_one(drafts)
    if idempotency_key is not None:
        yield from bind_in_steps(drafts, checked_key(idempotency_key))
    return drafts


def _check_count(pushes: Sequence[object]) -> None:
    if len(pushes) > MAX_BATCH:
        raise Refused(
            INVALID_BODY, f"The batch has {len(pushes)} pushes, the most is {MAX_BATCH}: send several batches."
        )


def _count_as_one(drafts: Sequence[Draft]) -> None:
    """Have the first draft count for all of them in `pushes_per_second`."""
    for number, draft in enumerate(drafts):
        draft.cost = 0 if number else len(drafts)


def _admit_numbered(number: int, parameters: object, verify: Verifier, account: Account) -> Draft:
    try:
        if not isinstance(parameters, dict):
            raise Refused(INVALID_BODY, "it must be a JSON object.")  # noqa: TRY301
        draft = admit(parameters, None, verify)
        check_rules(account, draft)
    except Refused as refused:
        raise Refused(refused.code, f"Push {number} of the batch, nothing was pushed: {refused.detail}") from None
    return draft
