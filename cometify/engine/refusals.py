"""Refusals of both engines, in the same words."""

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.position import SECOND


def signature_reused(spelled: str) -> Refused:
    """Refuse a signature that was accepted for another identifier. `spelled`: the spelling of that identifier."""
    return Refused(
        errors.SIGNATURE_REUSED,
        f"This secure was accepted for {spelled} in the last ten minutes and fits this push as well, because identifier and "
        "text are signed without a separator. Spell one identifier in another case, which changes its signature, or sign "
        "with HMAC.",
    )


def nonce_reused() -> Refused:
    """Refuse a request whose nonce was used before."""
    return Refused(
        errors.NONCE_REUSED,
        "A request with this Cometify-Nonce was accepted in the last ten minutes, so nothing was done now. Make a new random "
        "nonce for each request. Send an Idempotency-Key as well to repeat the same request.",
    )


def idempotency_mismatch() -> Refused:
    """Refuse an Idempotency-Key that belongs to another push."""
    return Refused(
        errors.IDEMPOTENCY_MISMATCH,
        "This Idempotency-Key was used in the last ten minutes for another identifier, text, secret or push_id. Make a new key "
        "for each push, and send the same key only to repeat the same push.",
    )


def too_many_pushes(account: Account, wait: int) -> Refused:
    """Refuse a push, or a whole batch, above `pushes_per_second`. `wait`: microseconds until there is room for it."""
    seconds = max(1, -(-wait // SECOND))
    return Refused(
        errors.TOO_MANY_PUSHES,
        f"This account may push {account.pushes_per_second} times a second, and {account.burst} times at once. Nothing was "
        f"pushed: push again in {seconds} s, or raise pushes_per_second or push_burst of the account.",
        retry=seconds,
    )


def too_many_requests(account: Account, wait: int) -> Refused:
    """Refuse a request above `request_memory`. `wait`: microseconds until there is room for it."""
    seconds = max(1, -(-wait // SECOND))
    return Refused(
        errors.TOO_MANY_PUSHES,
        f"This account has used {account.request_memory} nonces or Idempotency-Keys within ten minutes, and each is remembered "
        "for that time. Nothing was pushed, and nobody was disconnected: send the request again in "
        f"{seconds} s, or raise request_memory of the account.",
        retry=seconds,
    )


def replicas_away() -> Refused:
    """Refuse a push because too many others wait for replicas."""
    return Refused(
        errors.OVERLOADED,
        "Too many pushes wait for the replicas of Redis, which do not answer. Nothing was pushed: push again in a moment.",
    )
