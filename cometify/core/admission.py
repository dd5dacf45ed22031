"""Admission: the parameters of a push become a draft, or are refused.

The order of the checks is part of the wire contract:

1. the names: a misspelled name of a known parameter is refused;
2. `identifier`, against the path;
3. `text`: its encoding, U+0000 and its length;
4. `secret`, `push_id`, `event` and `except`;
5. the sender, by a verifier that the caller passes;
6. `data`, if it is there instead of `text`: no stranger may ask for the work of reading it;
7. the Idempotency-Key;
8. the rules of the account (`account_rules`), which the caller checks.

The text comes before the sender because of length extension of MD5. Such a forgery always holds NULs, so it is refused
before its signature is checked.

An HMAC signature is checked before this module reads any parameter. The verifier of such a request only notes the nonce.
"""

from collections.abc import Callable, Mapping
from itertools import islice

from cometify.core.errors import (
    IDENTIFIER_MISMATCH,
    INVALID_IDENTIFIER,
    INVALID_PARAMETER,
    INVALID_TEXT,
    MISSING_PARAMETER,
    TEXT_TOO_LONG,
    UNKNOWN_PARAMETER,
    Code,
    Refused,
)
from cometify.core.identifier import ANY, Identifier
from cometify.core.integer import MAX_ID, read_integer
from cometify.core.listener_id import read_listener_id
from cometify.core.payload import read_data, read_event
from cometify.core.push import MAX_TEXT, Draft
from cometify.core.strict_json import SentValue

Parameters = Mapping[str, object]
"""The parameters of one push by name, as the body spells them: strings from a form, any JSON values from JSON."""

PARAMETERS: Mapping[bytes, tuple[str, Code]] = {
    b"identifier": ("identifier", INVALID_PARAMETER),
    b"text": ("text", INVALID_TEXT),
    b"data": ("data", INVALID_PARAMETER),
    b"event": ("event", INVALID_PARAMETER),
    b"except": ("except", INVALID_PARAMETER),
    b"secret": ("secret", INVALID_PARAMETER),
    b"push_id": ("push_id", INVALID_PARAMETER),
    b"secure": ("secure", INVALID_PARAMETER),
}
"""The parameters of a push by their names in a form, each with the code of the refusal if its value is not UTF-8."""

_KNOWN = frozenset([name for name, _code in PARAMETERS.values()])
_have_plain_names = frozenset(["identifier", "text", "secret", "push_id", "secure"]).issuperset
"""Return whether parameters are only those that nearly all pushes have. One look saves one for each of the others."""
_MISSPELLED: Mapping[str, str] = {
    "channel": "identifier",
    "id": "push_id",
    "message": "text",
    "msg": "text",
    "pushid": "push_id",
    **{name: name for name in _KNOWN},
}
"""The right name for each wrong name in lower case. A known name stands for itself, because it can be in another case."""
_MOST_NAMES = 64
"""The most names that are looked up: as many as a form may have. A stranger's JSON can have a hundred thousand."""

AS_SENT = "data"
"""The parameter that JSON must give as a `SentValue`. A form gives a string, which is refused."""

MAX_IDEMPOTENCY_KEY = 128
"""The most characters of an Idempotency-Key."""

Verifier = Callable[[Draft, Parameters], None]
"""Check the sender of a draft, and note on the draft what the engine must remember: its signature or its nonce.

Raises `Refused`.
"""


def admit(
    parameters: Parameters, path_identifier: str | None, verify: Verifier, idempotency_key: str | None = None
) -> Draft:
    """Check one push and return its draft. The checks that need the engine come later.

    `path_identifier`: the identifier in the URL, None if the URL names none (in a batch). Raises `Refused`:
    unknown_parameter, missing_parameter, invalid_parameter, invalid_identifier, identifier_mismatch, invalid_text,
    text_too_long, or a refusal of `verify`.
    """
    is_plain = _have_plain_names(parameters)
    if not is_plain:
        _check_names(parameters)
    identifier = _read_identifier(path_identifier, parameters)
    text = _read_text(parameters) if is_plain or "data" not in parameters else ""
    # Most pushes are public. Without the call, such a push takes 1 % less.
    secret = parameters.get("secret") != "0" and _read_secret(parameters)
    push_id = parameters.get("push_id")
    if push_id is not None:
        push_id = read_integer(push_id, "push_id", MAX_ID)
    draft = Draft(identifier, text, secret, push_id, None)
    if is_plain:
        verify(draft, parameters)
    else:
        _admit_more(draft, parameters, verify)
    if idempotency_key is not None:
        draft.key = checked_key(idempotency_key)
    return draft


def _admit_more(draft: Draft, parameters: Parameters, verify: Verifier) -> None:
    """Check the sender and the parameters that few pushes have, and put these into the draft."""
    event = parameters.get("event")
    if event is not None:
        draft.event, draft.uncovered = read_event(event, ANY), "event"
    excluded = parameters.get("except")
    if excluded is not None:
        draft.excluded, draft.uncovered = read_listener_id(excluded, "except"), "except"
    if "data" not in parameters:
        verify(draft, parameters)
        return
    sent = _sent_data(parameters)
    draft.uncovered = "data"
    verify(draft, parameters)
    draft.data = read_data(sent)


def checked_already(draft: Draft, parameters: Parameters) -> None:
    """Accept a push, because its sender was checked by the whole request. See `Verifier`."""


def _check_names(parameters: Parameters) -> None:
    """Refuse a misspelled name of a known parameter. Otherwise it would be ignored, and the push would lack it."""
    for name in islice(parameters, _MOST_NAMES):
        if name not in _KNOWN:
            right = _MISSPELLED.get(name.lower()) if len(name) <= len("identifier") else None
            if right is not None:
                raise Refused(UNKNOWN_PARAMETER, f"{name} is not a parameter of a push: write {right} instead.")


def _read_identifier(path_identifier: str | None, parameters: Parameters) -> Identifier:
    """Return the identifier as it was signed: in the spelling of the parameter, or of the path if there is no parameter."""
    if path_identifier is None:
        identifier = parameters.get("identifier")
        if identifier is None:
            raise missing("identifier")
        return Identifier.read(identifier, ANY)
    in_path = Identifier.read(path_identifier, ANY)
    named = parameters.get("identifier", path_identifier)
    if named == path_identifier:
        return in_path
    in_body = Identifier.read(named, ANY)
    if in_body != in_path:
        raise _mismatch(in_path, in_body)
    return in_body


def _mismatch(in_path: Identifier, in_body: Identifier) -> Refused:
    """Refuse two different identifiers. The account is not known yet, so all accounts get the same refusal.

    An account with plain identifiers refuses an extended one anyway. So the code is that of a malformed identifier if only one
    of the two is extended.
    """
    detail = (
        f"The URL names {in_path.spelled} and the parameter identifier names {in_body.spelled}: "
        "send the same in both, or leave the parameter out."
    )
    if in_path.is_extended == in_body.is_extended:
        return Refused(IDENTIFIER_MISMATCH, detail)
    extended = in_path if in_path.is_extended else in_body
    return Refused(
        INVALID_IDENTIFIER,
        f'{detail} {extended.spelled} is an identifier only for an account with identifiers = "extended".',
    )


def _read_text(parameters: Parameters) -> str:
    text = parameters.get("text")
    if text is None:
        raise missing("text")
    if not isinstance(text, str):
        raise Refused(INVALID_PARAMETER, "text must be a string.")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise Refused(INVALID_TEXT, "text holds a lone surrogate, which UTF-8 cannot encode: remove it.") from None
    if "\0" in text:
        raise Refused(INVALID_TEXT, "text holds U+0000: remove the NUL characters.")
    if size > MAX_TEXT:
        raise Refused(
            TEXT_TOO_LONG, f"text is {size} bytes of UTF-8, the most is {MAX_TEXT}: push a reference to it instead."
        )
    return text


def _sent_data(parameters: Parameters) -> SentValue:
    """Return `data` if it may be there. Raises `Refused` (invalid_parameter)."""
    data = parameters["data"]
    if not isinstance(data, SentValue):
        raise Refused(
            INVALID_PARAMETER, "data is for JSON only: send the body as application/json, or send text in a form."
        )
    if parameters.get("text") is not None:
        raise Refused(INVALID_PARAMETER, "The push has both text and data: send one of them.")
    return data


def _read_secret(parameters: Parameters) -> bool:
    secret = parameters.get("secret")
    if secret is None:
        raise missing("secret")
    # True == 1 == 1.0 in Python, but neither JSON's true nor its 1.0 is the number 1 here.
    if isinstance(secret, bool | float) or secret not in ("0", "1", 0, 1):
        raise Refused(INVALID_PARAMETER, "secret must be 0 or 1.")
    return secret in ("1", 1)


def checked_key(key: str) -> str:
    """Return the Idempotency-Key if it is well-formed. Raises `Refused` (invalid_parameter)."""
    if 1 <= len(key) <= MAX_IDEMPOTENCY_KEY and key.isascii() and key.isprintable():
        return key
    raise Refused(
        INVALID_PARAMETER,
        f"Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters: make it at random.",
    )


_WAYS_TO_GIVE = {
    "identifier": "name the identifier in each push of a batch",
    "text": "send the text to push (it may be empty), or data in a JSON body",
    "secret": "send 0 (anyone may get the push) or 1 (only listeners with a secureKey or token)",
    "secure": "send md5hex(apiKey + md5hex(apiSecret) + identifier + text), sign the request with HMAC, "
    "or send Authorization: Bearer {apiSecret} over TLS",
}


def missing(name: str) -> Refused:
    """Make the refusal of a push that lacks a required parameter."""
    return Refused(MISSING_PARAMETER, f"{name} is missing: {_WAYS_TO_GIVE[name]}.")
