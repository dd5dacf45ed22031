"""Tokens: JWTs (RFC 7519, in the compact form of RFC 7515) that give the right to secret pushes for a while.

PyJWT checks the signature. The rules for the claims are this module's own: see decision 0025. The only algorithm is
HS256, because the receiver must choose the algorithm and not the token (RFC 8725, section 3.1). Nothing that a token says
is believed before its signature is verified, and a refusal never repeats any of it.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from math import inf
from typing import TypeGuard, cast

import attrs
import jwt
from jwt.algorithms import HMACAlgorithm

from cometify.core import errors
from cometify.core.identifier import PLAIN, Spelling
from cometify.core.private_names import split
from cometify.core.strict_json import read_json

MAX_TOKEN = 8 * 1024
"""Characters of a token."""
MAX_SUBJECT = 128
"""Characters of a subject."""
SKEW = 60
"""Seconds by which the clock of the issuer may be ahead: a token is accepted that long before its `nbf`."""

SCOPE, SCOPE_OF_ACCOUNT = "scope", "account"
"""The claim of an account's token, and its value: see `core.account_token`. Listeners need another one."""
WRONG_SIGNATURE = "its signature does not match: sign it with HS256 and the account's API secret"
"""The reason of a refusal."""

_COMPACT_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_FIRST_MILLISECONDS = 10**11
"""A number of this size or more is a time in milliseconds by mistake: as seconds it would be in the year 5138."""


class _AnyOfSecrets(HMACAlgorithm):
    """HMAC with any of the secrets of an account, and with any secret that the settings allow.

    PyJWT's own class takes one secret. It warns of secrets below 32 bytes, and refuses those that look like a public key.
    Both protect servers that choose a key by the token. This server does not, and its operator has chosen the secret already.
    """

    def prepare_key(self, key: Iterable[str]) -> list[bytes]:  # type: ignore[override] # PyJWT passes on what it is given
        """The bytes of the secrets."""
        return [secret.encode() for secret in key]

    def check_key_length(self, key: list[bytes]) -> str | None:  # type: ignore[override]
        """Accept every length. A text would be printed as a warning, once for each token."""
        return None

    def verify(self, msg: bytes, key: list[bytes], sig: bytes) -> bool:  # type: ignore[override]
        """Try every secret, so that the time does not tell which one fits. PyJWT compares in constant time."""
        verify = super().verify
        verified = [verify(msg, secret, sig) for secret in key]
        return any(verified)


class _OneSecret(HMACAlgorithm):
    """HMAC with a secret that signs. PyJWT's own class refuses and warns as above."""

    def prepare_key(self, key: str | bytes) -> bytes:
        """The bytes of the secret."""
        return key.encode() if isinstance(key, str) else key

    def check_key_length(self, key: bytes) -> str | None:
        """Accept every length."""
        return None


_signer = jwt.PyJWS(algorithms=[])
_signer.register_algorithm("HS256", _OneSecret(HMACAlgorithm.SHA256))

# This object knows no algorithm but HS256. PyJWT's `decode` would also check the claims, but by the real clock and
# without strict JSON, so only its check of the signature is used.
_verifier = jwt.PyJWS(algorithms=[])
_verifier.register_algorithm("HS256", _AnyOfSecrets(HMACAlgorithm.SHA256))


@attrs.frozen
class Token:
    """The rights that a verified token gives.

    `until`: the end of these rights, in Unix seconds. `names` and `prefixes`: identifiers in lower case. `subject`: the
    visitor to whom the token was given, or None. `issued`: the time at which it was issued, in Unix seconds; -inf: unknown.
    """

    until: float
    names: frozenset[str]
    prefixes: tuple[str, ...]
    subject: str | None = None
    issued: float = -inf

    def covers(self, folded: str) -> bool:
        """True if this token gives the right to the secret pushes of an identifier. `folded`: in lower case."""
        return folded in self.names or folded.startswith(self.prefixes)


def read_token(text: str, api_secrets: Iterable[str], now: float, spelling: Spelling = PLAIN) -> Token:
    """Verify a token and return its rights.

    `now`: the wall clock, in Unix seconds. `spelling`: of the account. Raises `Refused` (invalid_token).
    """
    claims = read_claims(text, api_secrets, now)
    if claims.get(SCOPE) == SCOPE_OF_ACCOUNT:
        raise refuse_token(
            "it is for reading the usage of the account, and gives no listener a right: make one with identifiers and without "
            "scope"
        )
    names, prefixes = split(_read_names(claims.get("identifiers"), spelling))
    return Token(_read_time(claims, "exp"), names, prefixes, *_read_subject(claims))


def read_claims(text: str, api_secrets: Iterable[str], now: float) -> dict[str, object]:
    """Verify the signature and the times of a token, and return its claims. Raises `Refused` (invalid_token)."""
    if len(text) > MAX_TOKEN or (parts := _COMPACT_FORM.fullmatch(text)) is None:
        raise refuse_token(
            f"it is not a JWT. A JWT has three parts in base64url, joined by dots, and here at most {MAX_TOKEN} characters"
        )
    _check_header(parts[1])
    claims = _read_object(_verified_payload(text, api_secrets), "payload")
    until = _read_time(claims, "exp")
    if now >= until:
        raise refuse_token(
            f"it has expired: its exp is {until:.0f} and this server's clock shows {now:.0f}; make a new one"
        )
    if "nbf" in claims and now < (begins := _read_time(claims, "nbf")) - SKEW:
        raise refuse_token(f"it is not valid yet: its nbf is {begins:.0f} and this server's clock shows {now:.0f}")
    return claims


def make_token(api_secret: str, names: Iterable[str], until: int, issued: int, subject: str | None = None) -> str:
    """Make a token. `until`, `issued`: Unix seconds. `names`: identifiers, where a trailing * stands for a prefix."""
    claims: dict[str, object] = {"iat": issued, "exp": until, "identifiers": list(names)}
    if subject is not None:
        claims["sub"] = subject
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return sign_claims(payload, api_secret)


def sign_claims(payload: bytes, api_secret: str) -> str:
    """Make a token of claims in JSON."""
    return _signer.encode(payload, api_secret, "HS256")


def looks_like_token(text: str) -> bool:
    """True if a text has the form of a token."""
    return _COMPACT_FORM.fullmatch(text) is not None


def _check_header(part: str) -> None:
    """Refuse a header that PyJWT might read differently from what its author meant, or that needs an extension.

    PyJWT takes the last of two equal names, and another library may take the first. An extension in `crit` must be
    understood or refused (RFC 7515, section 4.1.11), and no extension is understood here.
    """
    try:
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        data = b""
    header = _read_object(data, "header")
    if header.get("alg") != "HS256":
        raise refuse_token('its header must have "alg": "HS256", which is the only algorithm here')
    if "crit" in header:
        raise refuse_token("its header must not have crit, because no extension is understood here")


def _verified_payload(text: str, api_secrets: Iterable[str]) -> bytes:
    """The payload of a token that one of the secrets has signed. It is parsed once. Raises `Refused`."""
    try:
        payload: bytes = _verifier.decode(text, api_secrets, ["HS256"])  # type: ignore[arg-type] # see `_AnyOfSecrets`
    except jwt.InvalidSignatureError:
        raise refuse_token(WRONG_SIGNATURE) from None
    except jwt.InvalidTokenError:
        # PyJWT's message may repeat a part of the token, so the refusal has a text of its own.
        raise refuse_token(
            "its header, payload or signature is not well-formed (RFC 7515): make it with a JWT library"
        ) from None
    return payload


def _read_object(data: bytes, part: str) -> dict[str, object]:
    try:
        value: object = read_json(data, errors.INVALID_TOKEN)
    except errors.Refused:
        value = None
    if not isinstance(value, dict):
        raise refuse_token(f"its {part} must be a JSON object in base64url without repeated names")
    return cast("dict[str, object]", value)


def _read_time(claims: dict[str, object], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _FIRST_MILLISECONDS:
        raise refuse_token(f"its {name} must be a time in Unix seconds (not milliseconds), as a number")
    return value


def is_subject(value: object) -> TypeGuard[str]:
    """True for 1 to 128 printable characters. Others could break a log, or could not be written in UTF-8."""
    return isinstance(value, str) and 1 <= len(value) <= MAX_SUBJECT and value.isprintable()


def _read_subject(claims: dict[str, object]) -> tuple[str | None, float]:
    """The claims `sub` and `iat`. Without a `sub` there is nobody to revoke, so `iat` is ignored as it always was."""
    if "sub" not in claims:
        return None, -inf
    subject = claims["sub"]
    if not is_subject(subject):
        raise refuse_token(f"its sub must be a string of 1 to {MAX_SUBJECT} printable characters")
    return subject, _read_time(claims, "iat") if "iat" in claims else -inf


def _read_names(identifiers: object, spelling: Spelling) -> list[str]:
    if isinstance(identifiers, str):
        identifiers = [identifiers]
    if not isinstance(identifiers, list) or not all(
        isinstance(name, str) and spelling.allows_prefix(name) for name in identifiers
    ):
        raise refuse_token(
            "its identifiers must be a name or an array of names, where a trailing * stands for a prefix. A name is "
            f"{spelling.rule}"
        )
    return identifiers


def refuse_token(reason: str) -> errors.Refused:
    """Make the refusal of a token. `reason`: must not repeat any of it."""
    return errors.Refused(errors.INVALID_TOKEN, f"The token is not accepted: {reason}.")
