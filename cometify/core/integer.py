"""Integers on the wire: push_ids, internal ids and positions."""

from cometify.core import errors

MAX_ID = 2**63 - 1
"""The highest push_id and internal id."""
MAX_EXACT = 2**53 - 1
"""The highest integer that browsers do not round. Above it, JSON has a decimal string."""


def read_integer(value: object, name: str, highest: int) -> int:
    """Read an integer from 0 to `highest`: a string of decimal digits, or a JSON number up to 2^53-1.

    Raises `Refused` (invalid_parameter), which names the parameter `name`.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_EXACT:
        number = value
    elif isinstance(value, int) and MAX_EXACT < value <= highest:
        raise errors.Refused(
            errors.INVALID_PARAMETER,
            f"{name}: a JSON number above {MAX_EXACT} is rounded by browsers; write it as a string of digits.",
        )
    else:
        number = highest + 1
    if number > highest:
        raise errors.Refused(
            errors.INVALID_PARAMETER, f"{name} must be an integer from 0 to {highest}: write it in digits only."
        )
    return number


def write_integer(number: int) -> str:
    """Return the JSON of an integer: a number, or a decimal string where a browser would round the number."""
    return str(number) if number <= MAX_EXACT else f'"{number}"'
