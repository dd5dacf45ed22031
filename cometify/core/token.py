"""Tokens: JWTs (RFC 7519, in the compact form of RFC 7515) that give the right to secret pushes for a while.

Only HS256 is understood, and the header must say so: what a token is checked with is decided here and not by the token.
Nothing that it says is believed before its signature is right. A refusal never repeats any of it.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from typing import Any

import attrs

from cometify.core import errors
from cometify.core.strict_json import read_json

MAX_TOKEN = 8 * 1024
"""Characters of a token."""
SKEW = 60
"""Seconds by which the clock of whoever makes tokens may be ahead: so much sooner than `nbf` a token is taken."""

_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,59}\*?|\*")
_MILLISECONDS = 10**11
"""From here on a time is in milliseconds by mistake: as seconds it is in the year 5138."""


@attrs.frozen
class Token:
    """What a token says that is right. `until`: Unix seconds. `names` and `prefixes`: in lower case."""

    until: float
    names: frozenset[str]
    prefixes: tuple[str, ...]

    def covers(self, folded: str) -> bool:
        """Whether it gives the right to the secret pushes of an identifier, which is in lower case."""
        return folded in self.names or folded.startswith(self.prefixes)


def sign(signed: str, api_secret: str) -> str:
    """The third part of a token, over its first two and the dot between."""
    digest = hmac.digest(api_secret.encode(), signed.encode(), hashlib.sha256)
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def read_token(text: str, api_secrets: Iterable[str], now: float) -> Token:
    """What a token says. `now`: the wall clock, in Unix seconds. Raises `Refused` (invalid_token)."""
    parts = _FORM.fullmatch(text) if len(text) <= MAX_TOKEN else None
    if parts is None:
        raise _refused(
            f"it is not a JWT: three parts in base64url without padding, with dots between, {MAX_TOKEN} characters at most"
        )
    header = _object(parts[1], "header")
    if header.get("alg") != "HS256":
        raise _refused("its header does not say HS256, which is the one algorithm that is taken")
    if "crit" in header:
        raise _refused("its header has crit, and no extension is understood")
    _check_signature(text, parts[3], api_secrets)
    claims = _object(parts[2], "payload")
    until = _time(claims, "exp")
    if now >= until:
        raise _refused(
            f"it has expired: its exp is {until:.0f} and this server's clock shows {now:.0f}; make a new one"
        )
    if "nbf" in claims and now < _time(claims, "nbf") - SKEW:
        raise _refused(f"it is not valid yet: its nbf is {claims['nbf']:.0f} and this server's clock shows {now:.0f}")
    return _token(until, claims.get("identifiers"))


def _check_signature(text: str, given: str, api_secrets: Iterable[str]) -> None:
    """All secrets are tried, in constant time."""
    signed = text.rpartition(".")[0]
    found = False
    for secret in api_secrets:
        found |= hmac.compare_digest(given, sign(signed, secret))
    if not found:
        raise _refused("its signature does not match: sign it with HS256 and the account's API secret")


def _object(part: str, name: str) -> dict[str, Any]:
    try:
        value = read_json(urlsafe_b64decode(part + "=" * (-len(part) % 4)), errors.INVALID_TOKEN)
    except (errors.Refused, ValueError):  # binascii's is a ValueError
        value = None
    if not isinstance(value, dict):
        raise _refused(f"its {name} is not a JSON object in base64url, with each name once")
    return value


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MILLISECONDS:
        raise _refused(f"its {name} must be a time in Unix seconds (not milliseconds), as a number")
    return value


def _token(until: float, identifiers: object) -> Token:
    if isinstance(identifiers, str):
        identifiers = [identifiers]
    if not isinstance(identifiers, list) or not all(
        isinstance(name, str) and _NAME.fullmatch(name) for name in identifiers
    ):
        raise _refused("its identifiers must be an array of names, where a trailing * stands for a prefix")
    folded = [name.lower() for name in identifiers]
    return Token(
        until,
        frozenset([name for name in folded if not name.endswith("*")]),
        tuple([name[:-1] for name in folded if name.endswith("*")]),
    )


def _refused(why: str) -> errors.Refused:
    return errors.Refused(errors.INVALID_TOKEN, f"The token is not taken: {why}.")
