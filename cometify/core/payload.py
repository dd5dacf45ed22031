"""`data`, the JSON value that a push can have instead of a text, and `event`, the name of the event that it tells.

The value is sent on as it came, because another writer would change it: 2^53 + 1, 1.0, 1e400, and the order of the names.
Only the spaces between its parts are removed. So a listener reads the value that the publisher wrote, if the JSON parser of
the listener can.

Two things that are valid JSON are refused, because many parsers would refuse the whole frame:

- a lone surrogate (RFC 8259, section 8.2, calls the behaviour of receivers unpredictable);
- more than `MAX_DEPTH` levels of arrays and objects.

U+0000 is refused in a text because of length extension of MD5. It is allowed here, because `secure` does not cover `data`.
JSON has it only as an escape, which is plain ASCII in the frame.
"""

import re

from cometify.core.errors import INVALID_PARAMETER, TEXT_TOO_LONG, Refused
from cometify.core.identifier import PLAIN, Spelling
from cometify.core.push import MAX_TEXT
from cometify.core.strict_json import SentValue

MAX_DEPTH = 60
"""Levels of arrays and objects. Some parsers stop at 64 (System.Text.Json of .NET), and the frame is a level too."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_event(value: object, spelling: Spelling = PLAIN) -> str:
    """Return `event` as it was sent, because its case counts. It is spelled like an identifier.

    Raises `Refused` (invalid_parameter).
    """
    if isinstance(value, str) and spelling.allows(value):
        return value
    raise Refused(INVALID_PARAMETER, f"event must be a name: write {spelling.rule}.")


def read_data(sent: SentValue) -> str:
    """Return the JSON of `data` as it is sent on. Raises `Refused`: invalid_parameter, invalid_body, text_too_long."""
    if _is_too_deep(sent.value):
        raise Refused(
            INVALID_PARAMETER, f"data has more than {MAX_DEPTH} levels of arrays and objects: send a flatter value."
        )
    text = sent.text()
    size = len(text) if text.isascii() else len(text.encode())
    if size > MAX_TEXT:
        raise Refused(
            TEXT_TOO_LONG, f"data is {size} bytes of JSON, the most is {MAX_TEXT}: push a reference to it instead."
        )
    if _SURROGATE.search(text) and _has_lone_surrogate(sent.value):
        raise Refused(INVALID_PARAMETER, "data holds a lone surrogate, which UTF-8 cannot encode: remove it.")
    return text


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _is_too_deep(value: object) -> bool:
    """Return whether a value has more than `MAX_DEPTH` levels. No recursion, because it may be deeper than the stack."""
    level: list[object] = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return False
        level = [child for item in level for child in _children(item)]
    return True


def _has_lone_surrogate(value: object) -> bool:
    """Return whether a string or a name in a value holds a lone surrogate. Pairs have become one character already."""
    if isinstance(value, str):
        return not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)
    names = list(value) if isinstance(value, dict) else []
    return any(map(_has_lone_surrogate, [*names, *_children(value)]))
