"""Refusals that several modules tell a listener, in the same words."""

from collections.abc import Iterable

from cometify.core import errors
from cometify.core.errors import Refused


def draining() -> Refused:
    """The listener comes while the server drains."""
    return Refused(errors.DRAINING, "The server is going down: come back in a moment.")


def replaced() -> Refused:
    """Another listener has come with the same id, and has the slot now."""
    return Refused(errors.REPLACED, "The same listener id has connected again: give each listener an id of its own.")


def key_removed() -> Refused:
    """The account was removed while the listener was connected."""
    return Refused(errors.NOT_AUTHORIZED, "This API key has been removed.")


def disconnected() -> Refused:
    """The account's back end ends the connection."""
    return Refused(
        errors.NOT_AUTHORIZED,
        "The site has ended this connection: come back only when the visitor has logged in again.",
    )


def all_private(names: Iterable[str]) -> Refused:
    """The listener has no right to any of the identifiers that it asks for, and all of them are private."""
    return Refused(
        errors.NOT_AUTHORIZED,
        f"{', '.join(sorted(names))}: private, and nothing else is asked for. Give the group a secureKey, or a token that "
        "names the identifier.",
    )


def token_expired() -> Refused:
    """The listener has nothing left to listen to without its token, or comes again anyway."""
    return Refused(
        errors.INVALID_TOKEN,
        "The token has expired: come back with a new one and the last position, and nothing is lost.",
    )


def token_revoked() -> Refused:
    """The listener's token was issued before its subject was disconnected."""
    return Refused(
        errors.INVALID_TOKEN,
        "The token is not accepted: its subject was disconnected after it was issued. Make a new one with an iat of now, if "
        "the visitor still has the right.",
    )
