"""The id that a listener chooses for itself, by which its polls and reconnects count as one listener."""

from cometify.core import errors

_LISTENER_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def read_listener_id(value: object, name: str = "listener") -> str | None:
    """Check the id of a listener. None: it has none. `name`: the parameter. Raises `Refused` (invalid_parameter)."""
    if value is None:
        return None
    if not isinstance(value, str) or not 8 <= len(value) <= 64 or not _LISTENER_CHARACTERS.issuperset(value):
        raise errors.Refused(
            errors.INVALID_PARAMETER,
            f"{name} must be 8 to 64 of A-Z, a-z, 0-9, underscore and hyphen: the id of a listener, made at random.",
        )
    return value
