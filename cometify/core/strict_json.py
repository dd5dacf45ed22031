"""JSON as RFC 8259 defines it, and nothing more lenient.

Python's `json` accepts NaN and the infinities, other encodings than UTF-8, and lets the last of two equal names win. Two
parsers that disagree about such a document disagree about what was signed, so all of it is refused here.
"""

import json
from collections import Counter

from cometify.core.errors import INVALID_BODY, Code, Refused


def read_json(body: bytes, repeated: Code) -> object:
    """Parse a JSON document: None, bool, int, float, str, list or dict.

    `repeated`: the code of the refusal if a name stands twice in one object (RFC 8259, section 4, leaves that undefined).
    Raises `Refused`: invalid_body, or `repeated`.
    """

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(name for name, times in Counter([name for name, _value in pairs]).items() if times > 1)
            shown = f'"{twice[:60]}"' if twice.isprintable() else "A name"
            raise Refused(repeated, f"{shown} stands twice in one JSON object: send it once.")
        return found

    try:
        value: object = json.loads(body.decode(), object_pairs_hook=once, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Refused(INVALID_BODY, "The body is not valid JSON in UTF-8.") from None
    return value


def _refuse_constant(name: str) -> None:
    """Refuse NaN, Infinity and -Infinity."""
    raise ValueError(name)
