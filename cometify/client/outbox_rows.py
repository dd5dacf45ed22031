"""The columns of a push. The push is refused here if the server would refuse it.

A refusal rolls the transaction of the application back. A push that the server refuses later is a dead letter, because its
transaction is committed then.
"""

import json
import re
from typing import Any

from .errors import INVALID_IDENTIFIER, INVALID_PARAMETER, INVALID_TEXT, CometifyError
from .pushes import Push, write_json

MAX_BYTES = 65_536
"""Bytes of a text, or of data, in UTF-8."""
MAX_DEPTH = 60
"""Levels of arrays and objects in data."""
TEXT_TOO_LONG = "text_too_long"
"""The server's code for both."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
_LISTENER = re.compile(r"[A-Za-z0-9_-]{8,64}")


def columns(
    identifier: str, content: object, data: object, secret: bool, event: str | None, except_: str | None
) -> dict[str, object]:
    """Return the columns of a push and their values. Raises `CometifyError`."""
    push = Push(identifier, content, data, secret, None, event, except_)
    parameters = push.parameters()
    _check_name(identifier, INVALID_IDENTIFIER, "identifier")
    if event is not None:
        _check_name(event, INVALID_PARAMETER, "event")
    if except_ is not None and not (isinstance(except_, str) and _LISTENER.fullmatch(except_)):
        raise CometifyError(INVALID_PARAMETER, "except_ must be a listener id: 8 to 64 of A-Z, a-z, 0-9, _ and -.")
    text = content if isinstance(content, str) else None
    written = _checked(write_json(parameters["data"]), "data") if text is None else None
    if text is not None:
        write_json(text)  # half of a surrogate pair is refused
        _checked(text.encode(), "text")
        if "\0" in text:
            raise CometifyError(INVALID_TEXT, "text holds U+0000, which no text of a push may have: remove it.")
    return {
        "identifier": identifier,
        "text": text,
        "data": written,
        "secret": parameters["secret"],
        "event": event,
        "except_listener": except_,
    }


def _check_name(name: object, code: str, what: str) -> None:
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise CometifyError(
            code, f"{what}: {name!r} is not a name: write 1 to 100 of a-z, A-Z, 0-9, _ . and -, a letter first."
        )


def _is_too_deep(value: object) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return False
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return True


def _checked(encoded: bytes, what: str) -> str:
    if len(encoded) > MAX_BYTES:
        raise CometifyError(
            TEXT_TOO_LONG,
            f"{what} has {len(encoded)} bytes, and a push takes at most {MAX_BYTES}: push the id of the row, and let the page "
            "fetch the row.",
        )
    written = encoded.decode()
    if what == "data" and written.count("[") + written.count("{") > MAX_DEPTH and _is_too_deep(json.loads(written)):
        raise CometifyError(
            INVALID_PARAMETER, f"data has more than {MAX_DEPTH} levels of arrays and objects: flatten it."
        )
    return written
