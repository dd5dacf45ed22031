"""Messages of the subscription, as they are read. Any program with access to Redis may publish there."""

import json
from typing import Any

Shape = tuple[type | tuple[type, ...], ...]
"""The types of the values of an array."""
OPTIONAL = (str, type(None))


class Nonsense(Exception):
    """No node of this version has published this message. The words never repeat the message, because it can hold a push."""


def read_numbers(text: bytes, count: int) -> list[int]:
    """Read integers with a space between them. Raises `Nonsense`."""
    parts = text.split(b" ")
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        raise Nonsense("not a number") from None
    if len(numbers) != count:
        raise Nonsense(f"{len(numbers)} numbers and not {count}")
    return numbers


def read_array(text: bytes, *shapes: Shape) -> list[Any]:
    """Read a JSON array whose values have the types of one of the shapes. Raises `Nonsense`."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise Nonsense("not JSON") from None
    for shape in shapes:
        if isinstance(values, list) and len(values) == len(shape) and all(map(isinstance, values, shape)):
            return values
    raise Nonsense("not an array of this kind")
