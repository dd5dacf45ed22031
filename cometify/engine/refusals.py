"""Refusals of both engines, in the same words."""

from cometify.core import errors
from cometify.core.errors import Refused


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
        "A request with this Cometify-Nonce was accepted in the last ten minutes, so nothing was pushed now. Make a new random "
        "nonce for each request. Send an Idempotency-Key as well to repeat the same request.",
    )


def idempotency_mismatch() -> Refused:
    """Refuse an Idempotency-Key that belongs to another push."""
    return Refused(
        errors.IDEMPOTENCY_MISMATCH,
        "This Idempotency-Key was used in the last ten minutes for another identifier, text, secret or push_id. Make a new key "
        "for each push, and send the same key only to repeat the same push.",
    )


def replicas_away() -> Refused:
    """Refuse a push because too many others wait for replicas."""
    return Refused(
        errors.OVERLOADED,
        "Too many pushes wait for the replicas of Redis, which do not answer. Nothing was pushed: push again in a moment.",
    )
