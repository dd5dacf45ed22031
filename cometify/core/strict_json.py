"""JSON as RFC 8259 has it, and no more lenient than that."""

import json
from collections import Counter
from typing import Any

from cometify.core import errors


def read_json(body: bytes, repeated: errors.Code) -> Any:
    """Parse JSON as RFC 8259 has it: UTF-8, no NaN, and a name that stands twice in an object is refused with `repeated`."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(name for name, times in Counter([name for name, _value in pairs]).items() if times > 1)
            shown = f'"{twice[:60]}"' if twice.isprintable() else "A name"
            raise errors.Refused(repeated, f"{shown} stands twice in one JSON object: send it once.")
        return found

    try:
        return json.loads(body.decode(), object_pairs_hook=once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise errors.Refused(errors.INVALID_BODY, "The body is not valid JSON in UTF-8.") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)
