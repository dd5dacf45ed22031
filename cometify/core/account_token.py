"""Tokens for self-service: a customer reads the usage and the identifiers of an account with one, and does nothing else.

Such a token is a JWT like that of a listener (see `core.token`), signed with the same API secret. The claims tell the two
apart, in both directions:

    listener's    {"iat", "exp", "identifiers", "sub"}
    account's     {"iat", "exp", "scope": "account", "api_key"}

A token with `"scope": "account"` gives no listener a right, whatever else it says. A token with identifiers, or without the
scope, reads nothing of an account. It names its API key, so that it fits one account, also if two have the same secret.
"""

import json
from collections.abc import Iterable

from cometify.core.token import SCOPE, SCOPE_OF_ACCOUNT, read_claims, refuse_token, sign_claims


def read_account_token(text: str, api_key: str, api_secrets: Iterable[str], now: float) -> None:
    """Verify the token of an account. `now`: the wall clock, in Unix seconds. Raises `Refused` (invalid_token)."""
    claims = read_claims(text, api_secrets, now)
    if claims.get(SCOPE) != SCOPE_OF_ACCOUNT or "identifiers" in claims:
        raise refuse_token('it is not for this request: make one with "scope": "account" and without identifiers')
    if claims.get("api_key") != api_key:
        raise refuse_token("its api_key is not the one in the path: make one for this account")


def make_account_token(api_secret: str, api_key: str, until: int, issued: int) -> str:
    """Make the token of an account. `until`, `issued`: Unix seconds."""
    claims = {"iat": issued, "exp": until, SCOPE: SCOPE_OF_ACCOUNT, "api_key": api_key}
    return sign_claims(json.dumps(claims, separators=(",", ":")).encode(), api_secret)
