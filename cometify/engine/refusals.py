"""What both engines refuse, in the same words."""

from cometify.core import errors
from cometify.core.errors import Refused


def signature_reused(spelled: str) -> Refused:
    """The same signature was accepted for another identifier, which was `spelled` so."""
    return Refused(
        errors.SIGNATURE_REUSED,
        f"The same secure was accepted for {spelled} within ten minutes, and does not tell the two apart "
        "(identifier and text are signed without a separator). Spell one identifier in another case, which changes "
        "its signature, or sign with HMAC.",
    )


def nonce_reused() -> Refused:
    """A push was accepted with the same nonce."""
    return Refused(
        errors.NONCE_REUSED,
        "A request with this Cometify-Nonce was accepted within ten minutes, and nothing was pushed now: make a new one at "
        "random for each request, or send an Idempotency-Key too if the same request is to be sent again.",
    )


def idempotency_mismatch() -> Refused:
    """The same Idempotency-Key came with another push."""
    return Refused(
        errors.IDEMPOTENCY_MISMATCH,
        "This Idempotency-Key was used within ten minutes for another identifier, text, secret or push_id: make a new key "
        "for each push, and send the same one only to push the same thing again.",
    )


def replicas_away() -> Refused:
    """So many pushes wait for replicas that no more are taken."""
    return Refused(
        errors.OVERLOADED,
        "Too many pushes wait for the replicas of Redis, which do not answer, and nothing was pushed: push again in a moment.",
    )
