"""The calls of the API: each is a request that is not signed yet, and a reader of its answer."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import quote, urlencode

from .errors import INVALID_PARAMETER, CometifyError
from .lists import IdentifierDetails, IdentifierPage, KeptPushes, Usage, read_details, read_kept, read_page, read_usage
from .pushes import Push, Pushed, batch_body, check_identifier, read_pushed, read_pushes, write_json

T = TypeVar("T")
JSON = "application/json"
MAX_PAGE = 1000
"""Entries of a page of a list."""
MAX_KEY = 128
"""Characters of an Idempotency-Key."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call, which can take several tries.

    `path`: below the API key, and percent-encoded. `read`: makes the result of the answer's JSON, and raises KeyError,
    TypeError or ValueError if it cannot. `idempotency_key`: all tries have the same one; empty: none is sent. `is_signed`:
    False for a request that everybody may send. `changes`: False if the request changes nothing, so that a lost answer leaves
    no doubt. `timestamp`: the Unix seconds in the signature of each try; None: the time of the try. The server refuses a
    request that comes more than 300 s after its timestamp, so an old one bounds how late a stopped process can be heard.
    """

    method: str
    path: str
    read: Callable[[object], T]
    body: bytes = field(default=b"", repr=False)
    idempotency_key: str = ""
    is_signed: bool = True
    changes: bool = True
    timestamp: int | None = None


def push(push: Push, idempotency_key: str | None) -> Call[Pushed]:
    """Push to one identifier. Raises `CometifyError`."""
    return Call(
        "POST", f"/push/{_part(push.identifier)}", read_pushed, write_json(push.parameters()), _key(idempotency_key)
    )


def batch(pushes: Iterable[Push], idempotency_key: str | None) -> Call[list[Pushed]]:
    """Push all of these or none: all are checked before one is pushed. Raises `CometifyError`."""
    return Call("POST", "/push", read_pushes, batch_body(pushes), _key(idempotency_key))


def position() -> Call[int]:
    """Ask for the newest position of the account."""
    return Call("GET", "/position", lambda answer: _field(answer, "position"), is_signed=False, changes=False)


def disconnect(subject: str | None, listener: str | None) -> Call[int]:
    """Disconnect a visitor or a listener id. Raises `CometifyError`."""
    if (subject is None) == (listener is None):
        raise CometifyError(INVALID_PARAMETER, "Give subject or listener, and not both.")
    body = write_json({"subject": subject} if listener is None else {"listener": listener})
    return Call("POST", "/disconnect", lambda answer: _field(answer, "disconnected"), body)


def identifiers(prefix: str, after: str) -> Call[IdentifierPage]:
    """Ask for a page of the identifiers that are in use."""
    given = {"limit": str(MAX_PAGE), "prefix": prefix, "after": after}
    query = urlencode({name: value for name, value in given.items() if value})
    return Call("GET", f"/identifiers?{query}", read_page, changes=False)


def identifier(name: str) -> Call[IdentifierDetails]:
    """Ask for the details of one identifier. Raises `CometifyError`."""
    return Call("GET", f"/identifiers/{_part(name)}", read_details, changes=False)


def kept_pushes(name: str, after: int | None) -> Call[KeptPushes]:
    """Ask for the kept pushes of an identifier. Raises `CometifyError`."""
    if after is not None and (isinstance(after, bool) or not isinstance(after, int)):
        raise CometifyError(INVALID_PARAMETER, "after must be a position: a whole number, or None.")
    query = f"limit={MAX_PAGE}" if after is None else f"limit={MAX_PAGE}&after={after:d}"
    return Call("GET", f"/identifiers/{_part(name)}/pushes?{query}", read_kept, changes=False)


def usage() -> Call[Usage]:
    """Ask for the usage of the account."""
    return Call("GET", "/usage", read_usage, changes=False)


def _part(identifier: str) -> str:
    return quote(check_identifier(identifier), safe="")


def _field(answer: object, name: str) -> int:
    if not isinstance(answer, dict):
        raise TypeError
    return int(answer[name])


def _key(given: str | None) -> str:
    if given is None:
        return secrets.token_hex(16)
    if not (1 <= len(given) <= MAX_KEY and given.isascii() and given.isprintable() and given == given.strip()):
        raise CometifyError(
            INVALID_PARAMETER,
            f"idempotency_key must have 1 to {MAX_KEY} printable ASCII characters, and no space at its ends.",
        )
    return given
