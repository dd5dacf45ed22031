"""Pushes before they are sent, and the server's answers to them.

A push is refused here only if it cannot be written into a request. The server checks all other rules, and its refusal says
what to do.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, TypedDict

from .errors import INVALID_BODY, INVALID_IDENTIFIER, INVALID_PARAMETER, INVALID_TEXT, MISSING_PARAMETER, CometifyError

MAX_BATCH = 100
"""Pushes of a batch."""
MAX_ID = 2**63 - 1
"""The highest push_id."""
_MAX_NUMBER = 2**53 - 1
"""The highest push_id that is sent as a number. The server takes higher ones as a string of digits."""


class Absent(Enum):
    """Stands for `data` that is not given, because None is a JSON value."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Push:
    """One push of a batch.

    - `identifier`: the channel.
    - `content`: a string is the text of the push. Any other JSON value is its data.
    - `data`: instead of `content`, for a JSON value that is a string or None.
    - `secret`: True: only for listeners with a valid secureKey or token.
    - `push_id`: your own number for it, from 0 to 2^63 - 1.
    - `event`: the name of what happened.
    - `except_`: the id of the listener that caused it, which does not get it.
    """

    identifier: str
    content: object = ABSENT
    data: object = ABSENT
    secret: bool = False
    push_id: int | None = None
    event: str | None = None
    except_: str | None = None

    def parameters(self) -> dict[str, object]:
        """The JSON object of this push, without its identifier. Raises `CometifyError`."""
        if (self.content is ABSENT) == (self.data is ABSENT) or self.content is None:
            raise CometifyError(
                MISSING_PARAMETER, "A push has a text or data: give one of them. JSON's null is data=None."
            )
        if self.secret not in (0, 1):
            raise CometifyError(INVALID_PARAMETER, "secret must be True or False.")
        is_text = isinstance(self.content, str)
        value = self.content if self.data is ABSENT else self.data
        given: dict[str, object] = {"text" if is_text else "data": value, "secret": int(self.secret)}
        if self.push_id is not None:
            given["push_id"] = _push_id(self.push_id)
        given |= {} if self.event is None else {"event": self.event}
        return given if self.except_ is None else given | {"except": self.except_}

    def checked(self) -> "Push":
        """Return this push with a copy of its data, for sending it later. Raises `CometifyError` if it cannot be sent."""
        check_identifier(self.identifier)
        written = json.loads(write_json(self.parameters()))
        return replace(self, content=ABSENT, data=written["data"]) if "data" in written else self


class PushOptions(TypedDict, total=False):
    """The arguments of a push that are given by name. See `Push`."""

    data: object
    secret: bool
    push_id: int | None
    event: str | None
    except_: str | None


@dataclass(frozen=True, slots=True)
class Pushed:
    """The server has a push.

    - `identifier`: in lower case.
    - `push_id`: your own number, or None.
    - `position`: the server's number of the push, a time in microseconds.
    - `listeners`: the number of listeners on the server that answered which may get the push.
    - `duplicate`: True if the server knew the push already by its Idempotency-Key.
    """

    identifier: str
    push_id: int | None
    position: int
    listeners: int
    duplicate: bool = False


def read_pushed(answer: object) -> Pushed:
    """Read the server's answer to a push. Raises KeyError, TypeError or ValueError if it is none."""
    if not isinstance(answer, dict):
        raise TypeError
    push_id = answer["push_id"]
    return Pushed(
        str(answer["identifier"]),
        None if push_id is None else int(push_id),
        int(answer["position"]),
        int(answer["listeners"]),
        answer.get("duplicate") is True,
    )


def read_pushes(answer: object) -> list[Pushed]:
    """Read the server's answer to a batch. Raises as `read_pushed` does."""
    if not isinstance(answer, list):
        raise TypeError
    return [read_pushed(item) for item in answer]


def batch_body(pushes: Iterable[Push]) -> bytes:
    """Return the body of a batch. Raises `CometifyError`, which names the wrong push by its number, from 1."""
    objects: list[dict[str, object]] = []
    for number, push in enumerate(pushes, 1):
        if not isinstance(push, Push):
            raise CometifyError(INVALID_BODY, f"Number {number} of the batch is no Push: write Push(identifier, text).")
        try:
            objects.append({"identifier": check_identifier(push.identifier), **push.parameters()})
        except CometifyError as error:
            raise CometifyError(error.code, f"Push {number} of the batch: {error.detail}") from None
    if len(objects) > MAX_BATCH:
        raise CometifyError(
            INVALID_BODY,
            f"This batch has {len(objects)} pushes, and a request takes at most {MAX_BATCH}: send several batches. Each of "
            "them is checked as a whole, and has an Idempotency-Key of its own.",
        )
    return write_json(objects)


def check_identifier(identifier: str) -> str:
    """Return the identifier if it can be a part of a path. Raises `CometifyError`."""
    if not isinstance(identifier, str) or not identifier.strip("."):
        raise CometifyError(INVALID_IDENTIFIER, f"The identifier must be a name such as guestbook, not {identifier!r}.")
    return identifier


def write_json(value: object) -> bytes:
    """Return the bytes of a JSON value. Raises `CometifyError`."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise CometifyError(INVALID_PARAMETER, f"data cannot be written as JSON: {error}.") from None
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise CometifyError(
            INVALID_TEXT, "A string holds half of a surrogate pair, which UTF-8 cannot have: remove it."
        ) from None


def _push_id(push_id: int) -> int | str:
    if isinstance(push_id, bool) or not isinstance(push_id, int) or not 0 <= push_id <= MAX_ID:
        raise CometifyError(INVALID_PARAMETER, f"push_id must be an integer from 0 to {MAX_ID}.")
    return push_id if push_id <= _MAX_NUMBER else str(push_id)
