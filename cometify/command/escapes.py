"""Texts of a server or of a publisher, made harmless for a terminal.

Such a text can hold control characters that move the cursor or change the title of a terminal. None of them reaches the
terminal: they are written as escapes.
"""

import re

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, separators of lines, characters that change the direction of the text, and halves of pairs."""


def escaped(text: str) -> str:
    r"""Write control characters as escapes, such as \n and \x1b."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escaped_json(text: str) -> str:
    """Write the control characters that JSON allows as escapes of JSON. The meaning stays the same."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
