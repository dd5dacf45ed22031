"""Signatures, keys and tokens, with the standard library alone. They equal those of the server: see protocol/vectors."""

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable

from .errors import INVALID_PARAMETER, CometifyError

MAX_SUBJECT = 128
"""Characters of the `sub` of a token."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
_NAME_OR_PREFIX = re.compile(r"(?:[A-Za-z][A-Za-z0-9_.-]{0,99})?\*|[A-Za-z][A-Za-z0-9_.-]{0,99}")
_TOKEN_HEADER = b'{"alg":"HS256","typ":"JWT"}'


def sign(
    api_secret: str,
    method: str,
    path: str,
    timestamp: int,
    nonce: str,
    content_type: str,
    idempotency_key: str,
    body: bytes,
) -> str:
    """Return the v2 signature of a request. `content_type`, `idempotency_key`: as sent, empty if they are not sent."""
    digest = hashlib.sha256(body).hexdigest()
    signed = "\n".join(["v2", method, path, str(timestamp), nonce, content_type, idempotency_key, digest])
    return hmac.digest(api_secret.encode(), signed.encode(), "sha256").hex()


def secure_key(api_key: str, api_secret: str, identifiers: str | Iterable[str]) -> str:
    """Return the key to the secret pushes of exactly this list: md5hex(apiKey + apiSecret + md5hex(identifiers))."""
    names = _names(identifiers, _NAME, "a name such as guestbook")
    return _md5hex(api_key + api_secret + _md5hex(",".join(names)))


def token(api_secret: str, identifiers: str | Iterable[str], issued: int, until: int, sub: str | None) -> str:
    """Return a JWT (HS256). `identifiers`: a trailing * stands for a prefix. `issued`, `until`: Unix seconds."""
    names = _names(identifiers, _NAME_OR_PREFIX, "a name such as guestbook, or a prefix such as user_7_*")
    claims: dict[str, object] = {"iat": issued, "exp": until, "identifiers": names}
    if sub is not None:
        if not (isinstance(sub, str) and 1 <= len(sub) <= MAX_SUBJECT and sub.isprintable()):
            raise CometifyError(INVALID_PARAMETER, f"sub must be a string of 1 to {MAX_SUBJECT} printable characters.")
        claims["sub"] = sub
    return _jwt(api_secret, claims)


def account_token(api_secret: str, api_key: str, issued: int, until: int) -> str:
    """Return a JWT (HS256) that reads the usage and the identifiers of the account. `issued`, `until`: Unix seconds."""
    return _jwt(api_secret, {"iat": issued, "exp": until, "scope": "account", "api_key": api_key})


def _jwt(api_secret: str, claims: dict[str, object]) -> str:
    signed = b".".join(_base64url(part) for part in (_TOKEN_HEADER, json.dumps(claims, separators=(",", ":")).encode()))
    return b".".join((signed, _base64url(hmac.digest(api_secret.encode(), signed, "sha256")))).decode()


def _names(identifiers: str | Iterable[str], pattern: re.Pattern[str], form: str) -> list[str]:
    names = identifiers.split(",") if isinstance(identifiers, str) else list(identifiers)
    for name in names:
        if not (isinstance(name, str) and pattern.fullmatch(name)):
            raise CometifyError(INVALID_PARAMETER, f"identifiers: {name!r} is not {form}.")
    if not names:
        raise CometifyError(INVALID_PARAMETER, "identifiers: give at least one name.")
    return names


def _md5hex(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
