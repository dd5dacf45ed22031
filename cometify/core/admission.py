"""A form and an account become a draft, or are refused. The order of the checks is part of the interface.

Encodings and NULs are looked at before the signature: an MD5 length extension always holds NULs, so it never gets as
far. An unknown API key and a wrong signature get one answer, after the same work.
"""

from collections.abc import Iterable, Mapping

from cometify.core import errors, md5_signature
from cometify.core.account import STRANGER, Account
from cometify.core.identifier import Identifier
from cometify.core.integer import MAX_ID, read_integer
from cometify.core.push import MAX_TEXT, Draft
from cometify.core.strict_json import read_json

PARAMETERS = ("identifier", "text", "secret", "push_id", "secure")
_NAMES = {name.encode(): name for name in PARAMETERS}
MAX_BATCH = 100
"""Pushes in one request."""
MAX_KEY = 128
"""Characters of an Idempotency-Key."""


def fields_from_pairs(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, object]:
    """The parameters out of the decoded pairs of a form, in any order; names that are not ours are passed over.

    Raises `Refused`: repeated_parameter, invalid_text, invalid_parameter.
    """
    fields: dict[str, object] = {}
    for raw, value in pairs:
        name = _NAMES.get(raw)
        if name is None:
            continue
        if name in fields:
            raise errors.Refused(errors.REPEATED_PARAMETER, f"{name} is given more than once: send it once.")
        try:
            fields[name] = value.decode()
        except UnicodeDecodeError:
            code = errors.INVALID_TEXT if name == "text" else errors.INVALID_PARAMETER
            raise errors.Refused(
                code, f"{name} is not valid UTF-8: encode it as UTF-8 before it is urlencoded."
            ) from None
    return fields


def fields_from_json(body: bytes) -> dict[str, object]:
    """The parameters out of a JSON object. Raises `Refused`: invalid_body, repeated_parameter."""
    value = read_json(body, errors.REPEATED_PARAMETER)
    if not isinstance(value, dict):
        raise errors.Refused(
            errors.INVALID_BODY, 'The body must be a JSON object, e.g. {"text":"Hello","secret":0,...}.'
        )
    return value


def admit(account: Account | None, api_key: str, path_identifier: str, fields: Mapping[str, object]) -> Draft:
    """Check one push, all but what only the engine knows. `account` is None if there is none of this API key.

    Raises `Refused`.
    """
    draft = _draft(_read_identifier(path_identifier, fields), fields)
    given = fields.get("secure")
    if given is None:
        raise _missing("secure")
    if not isinstance(given, str):
        raise errors.Refused(errors.INVALID_PARAMETER, "secure must be a string: the hex MD5 that signs the push.")
    draft.signature = _check_secure(account, api_key, draft.identifier, draft.text, given)
    return draft


def admit_sealed(path_identifier: str, fields: Mapping[str, object], nonce: str) -> Draft:
    """Check one push whose request was signed with HMAC, and found right: `secure` is not looked at. Raises `Refused`."""
    draft = _draft(_read_identifier(path_identifier, fields), fields)
    draft.nonce = nonce
    return draft


def admit_batch(body: bytes, nonce: str) -> list[Draft]:
    """Check all pushes of a batch, which was signed with HMAC, and found right. Raises `Refused`, which says for which."""
    batch = read_json(body, errors.REPEATED_PARAMETER)
    if not isinstance(batch, list):
        raise errors.Refused(
            errors.INVALID_BODY,
            'The body must be a JSON array, e.g. [{"identifier":"chat","text":"Hello","secret":0}].',
        )
    if len(batch) > MAX_BATCH:
        raise errors.Refused(errors.INVALID_BODY, f"A batch has at most {MAX_BATCH} pushes, {len(batch)} were sent.")
    drafts = [_draft_of_batch(number, fields) for number, fields in enumerate(batch, 1)]
    if drafts:
        drafts[0].nonce = nonce
    return drafts


def _draft_of_batch(number: int, fields: object) -> Draft:
    try:
        if not isinstance(fields, dict):
            raise errors.Refused(errors.INVALID_BODY, "it must be a JSON object.")  # noqa: TRY301
        identifier = fields.get("identifier")
        if identifier is None:
            raise _missing("identifier")
        return _draft(Identifier.read(identifier), fields)
    except errors.Refused as refused:
        raise errors.Refused(
            refused.code, f"Push {number} of the batch, nothing was pushed: {refused.detail}"
        ) from None


def _read_identifier(path_identifier: str, fields: Mapping[str, object]) -> Identifier:
    """As the parameter spells it, which is what is signed, or else the path."""
    in_path = Identifier.read(path_identifier)
    named = fields.get("identifier", path_identifier)
    if named == path_identifier:
        return in_path
    identifier = Identifier.read(named)
    if identifier != in_path:
        raise errors.Refused(
            errors.IDENTIFIER_MISMATCH,
            f"The URL names {in_path.spelled} and the parameter identifier names {identifier.spelled}: "
            "send the same in both, or leave the parameter out.",
        )
    return identifier


def _draft(identifier: Identifier, fields: Mapping[str, object]) -> Draft:
    text = _read_text(fields)
    secret = _read_secret(fields)
    push_id = fields.get("push_id")
    if push_id is not None:
        push_id = read_integer(push_id, "push_id", MAX_ID)
    return Draft(identifier, text, secret, push_id, None)


def read_key(value: str | None) -> str | None:
    """The Idempotency-Key of a push, None if it has none. Raises `Refused` (invalid_parameter)."""
    if value is None or (1 <= len(value) <= MAX_KEY and value.isascii() and value.isprintable()):
        return value
    raise errors.Refused(
        errors.INVALID_PARAMETER, f"Idempotency-Key must be 1 to {MAX_KEY} printable ASCII characters, made at random."
    )


def _missing(name: str) -> errors.Refused:
    return errors.Refused(errors.MISSING_PARAMETER, f"{name} is missing: {_WHAT[name]}.")


_WHAT = {
    "identifier": "say in each push of a batch which it is for",
    "text": "send what is to be pushed (it may be empty)",
    "secret": "send 0 (anyone may hear it) or 1 (only listeners with a secureKey or token)",
    "secure": "send md5hex(apiKey + md5hex(apiSecret) + identifier + text), or sign the request with HMAC",
}


def _read_text(fields: Mapping[str, object]) -> str:
    text = fields.get("text")
    if text is None:
        raise _missing("text")
    if not isinstance(text, str):
        raise errors.Refused(errors.INVALID_PARAMETER, "text must be a string.")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise errors.Refused(errors.INVALID_TEXT, "text holds a lone surrogate, which no UTF-8 has.") from None
    if "\0" in text:
        raise errors.Refused(errors.INVALID_TEXT, "text holds U+0000: remove the NUL characters.")
    if size > MAX_TEXT:
        raise errors.Refused(
            errors.TEXT_TOO_LONG,
            f"text is {size} bytes of UTF-8, the most is {MAX_TEXT}: push a reference to it instead.",
        )
    return text


def _read_secret(fields: Mapping[str, object]) -> bool:
    secret = fields.get("secret")
    if secret == "0":  # noqa: S105 - a flag
        return False
    if secret is None:
        raise _missing("secret")
    if isinstance(secret, bool) or secret not in ("0", "1", 0, 1) or isinstance(secret, float):
        raise errors.Refused(errors.INVALID_PARAMETER, "secret must be 0 or 1.")
    return secret in ("1", 1)


def _check_secure(account: Account | None, api_key: str, identifier: Identifier, text: str, given: str) -> bytes:
    """The digest of the accepted signature.

    Always two secrets are tried before it is refused, so that the time tells nothing. Who has signed with the first,
    as nearly all do, knows that there is an account: what the second would cost is a tenth of a push.
    """
    secrets = (account or STRANGER).api_secrets
    spelled = identifier.spelled
    is_signed = md5_signature.same(
        given, (md5_signature.secure(api_key, secrets[0], spelled, text),)
    ) or md5_signature.same(given, (md5_signature.secure(api_key, secrets[-1], spelled, text),))
    if not is_signed or account is None or account.signatures != "any":
        raise errors.Refused(
            errors.NOT_AUTHORIZED,
            "The API key is unknown or secure does not match: it is md5hex(apiKey + md5hex(apiSecret) + identifier + text), "
            "over exactly the identifier and text that are sent, before they are urlencoded. An account with signatures = "
            '"v2" takes requests signed with HMAC only.',
        )
    return bytes.fromhex(given)
