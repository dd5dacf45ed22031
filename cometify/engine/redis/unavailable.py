"""The refusals of a Redis that does not answer, or not soon enough, or that cannot use the keys of one account."""

from cometify.core import errors
from cometify.core.errors import Refused


def nothing_pushed() -> Refused:
    """The push was not sent to Redis."""
    return Refused(errors.ENGINE_UNAVAILABLE, "Redis does not answer, and nothing was pushed: push again in a moment.")


def perhaps_pushed() -> Refused:
    """The push was sent, and no answer came."""
    return Refused(
        errors.ENGINE_UNAVAILABLE,
        "Redis did not answer. It may have been pushed all the same: push it again with the same Idempotency-Key, which "
        "pushes it once.",
    )


def overloaded() -> Refused:
    """Too many pushes wait for an answer of Redis."""
    return Refused(
        errors.OVERLOADED, "More is pushed than Redis takes, and nothing was pushed: push again in a moment."
    )


def not_followed() -> Refused:
    """A listener cannot join."""
    return Refused(errors.ENGINE_UNAVAILABLE, "Redis, where pushes are kept, does not answer: come back in a moment.")


def push_failed() -> Refused:
    """Redis ran into an error in the keys of the account. A script that fails undoes nothing, so a part may be done."""
    return Refused(
        errors.ENGINE_UNAVAILABLE,
        "Redis cannot use the keys of this account, and the push has not reached the listeners: the operator finds the "
        "reason in the server's log.",
    )


def account_not_followed() -> Refused:
    """A listener cannot join, because Redis ran into an error in the keys of its account, or moves them."""
    return Refused(
        errors.ENGINE_UNAVAILABLE,
        "Redis cannot use the keys of this account now: come back in a moment. If this lasts, the operator finds the reason in "
        "the server's log.",
    )


def nobody_disconnected() -> Refused:
    """A request to disconnect was not sent to Redis."""
    return Refused(
        errors.ENGINE_UNAVAILABLE, "Redis does not answer, and nobody was disconnected: send it again in a moment."
    )


def perhaps_disconnected() -> Refused:
    """A request to disconnect was sent, and no answer came, or Redis cannot use the keys of the account."""
    return Refused(
        errors.ENGINE_UNAVAILABLE,
        "Redis did not answer, and some may have been disconnected: send it again, which does no harm, signed anew.",
    )


def not_confirmed() -> Refused:
    """A back end asks for pushes, and the replicas do not confirm some of them, so that a failover could still lose those."""
    return Refused(
        errors.ENGINE_UNAVAILABLE,
        "Some of these pushes wait for replicas of Redis, which do not answer: ask again in a moment.",
    )
