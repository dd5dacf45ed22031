"""The checks of a token, in the order in which the server makes them."""

import hmac
import json
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

from cometify.admin.check import Check, Variant, account_check, outcome, signature_check, wrong_secrets
from cometify.core.account import Account
from cometify.core.token import MAX_TOKEN, SKEW, read_token

_MILLISECONDS = 10**11


def check_token(
    account: Account | None,
    api_key: str,
    text: str,
    names: tuple[str, ...],
    now: float,
    revoked: Callable[[str], float],
) -> list[Check]:
    """Check a token. `names`: identifiers that it should cover. `revoked`: the time before which a subject is revoked."""
    checks = [account_check(account, api_key)]
    parts = text.split(".")
    is_whole = len(parts) == 3 and all(parts) and len(text) <= MAX_TOKEN
    found = f"This has {len(parts)} parts and {len(text)} characters."
    checks.append(
        Check("form", is_whole, f"A JWT has three parts, joined by dots, and at most {MAX_TOKEN} characters. {found}")
    )
    if not is_whole or account is None:
        return checks
    checks.append(_header(_decoded(parts[0])))
    checks.append(_signature(account, api_key, parts))
    claims = _decoded(parts[1])
    if claims is None:
        checks.append(Check("payload", False, "It is not a JSON object in base64url."))
    else:
        checks += _claims(claims, names, now, revoked)
    good = "The server accepts this token."
    checks.append(outcome("server", lambda: read_token(text, account.api_secrets, now, account.spelling), good))
    return checks


def _bytes(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _decoded(part: str) -> dict[str, Any] | None:
    with suppress(ValueError):
        value = json.loads(_bytes(part))
        if isinstance(value, dict):
            return value
    return None


def _header(header: Mapping[str, Any] | None) -> Check:
    if header is None:
        return Check("header", False, "It is not a JSON object in base64url: make the token with a JWT library.")
    if header.get("alg") != "HS256":
        return Check(
            "header", False, 'Its alg is not "HS256", which is the only algorithm here: choose it in the JWT library.'
        )
    if "crit" in header:
        return Check("header", False, "It has crit, and no extension is understood here: leave crit out.")
    return Check("header", True, "Its alg is HS256.")


def _signature(account: Account, api_key: str, parts: list[str]) -> Check:
    signed = f"{parts[0]}.{parts[1]}".encode()

    def sign(secret: bytes) -> str:
        return hmac.digest(secret, signed, sha256).hex()

    def variants(secret: str) -> Iterator[Variant]:
        for wrong, words in wrong_secrets(secret, api_key):
            yield words, sign(wrong.encode())
        with suppress(ValueError):
            yield (
                "The JWT library has decoded the secret as base64: give it the secret as plain bytes.",
                sign(b64decode(secret)),
            )
        hexed = sha256(secret.encode()).hexdigest()
        yield "It was made with a hash of the secret: sign with the secret itself.", sign(hexed.encode())

    try:
        given = _bytes(parts[2]).hex()
    except ValueError:
        return Check("signature", False, "It is not base64url: the end of the token may be missing.")
    return signature_check("signature", given, account, lambda secret: sign(secret.encode()), variants)


def _claims(
    claims: Mapping[str, Any], names: tuple[str, ...], now: float, revoked: Callable[[str], float]
) -> Iterator[Check]:
    yield _expiry(claims.get("exp"), now)
    if "nbf" in claims:
        begins = claims["nbf"]
        is_time = isinstance(begins, int | float)
        yield Check(
            "nbf", is_time and now >= begins - SKEW, _in_words("It begins", begins, now) if is_time else _NO_TIME
        )
    if "sub" in claims:
        yield _subject(claims, revoked)
    yield from _identifiers(claims.get("identifiers"), names)


_NO_TIME = "It must be a time in Unix seconds, as a number."


def _in_words(what: str, time: float, now: float) -> str:
    away = abs(time - now)
    return f"{what} {away:.0f} s {'from now' if time > now else 'ago'}, by this server's clock."


def _expiry(until: object, now: float) -> Check:
    if isinstance(until, bool) or not isinstance(until, int | float):
        return Check("exp", False, f"The claim exp is missing or no number. {_NO_TIME}")
    if until >= _MILLISECONDS:
        return Check("exp", False, "It is a time in milliseconds: divide it by 1000.")
    return Check("exp", now < until, _in_words("The token ends", until, now))


def _subject(claims: Mapping[str, Any], revoked: Callable[[str], float]) -> Check:
    subject, issued = claims["sub"], claims.get("iat")
    if not isinstance(subject, str):
        return Check("sub", False, "It must be a string, such as the id of the visitor.")
    before = revoked(subject)
    since = issued if isinstance(issued, int | float) else float("-inf")
    if since < before:
        return Check(
            "sub",
            False,
            "The visitor was disconnected after this token was issued: make a new one, with an iat of now.",
        )
    return Check("sub", True, "The visitor was not disconnected since this token was issued.")


def _identifiers(value: object, names: tuple[str, ...]) -> Iterator[Check]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        yield Check(
            "identifiers",
            False,
            "The claim identifiers must be a name or an array of names. It says what the token opens.",
        )
        return
    yield Check("identifiers", bool(listed), f"The token names {len(listed)} identifiers or prefixes.")
    for name in names:
        folded = name.lower()
        covered = any(_covers(pattern.lower(), folded) for pattern in listed)
        yield Check(
            f"covers {name}",
            covered,
            "It is named." if covered else "The token does not name it: add it to identifiers.",
        )


def _covers(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
