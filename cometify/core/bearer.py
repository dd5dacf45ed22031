"""The API secret itself as the proof of a publisher: `Authorization: Bearer {apiSecret}`.

Nothing is signed, so whoever reads such a request has the secret. The transports accept it only if it crossed no network
without encryption (`http.clear_text`).
"""

import hmac
from hashlib import sha256

from cometify.core.account import STRANGER, Account
from cometify.core.errors import NOT_AUTHORIZED, Refused


def check_bearer(account: Account | None, given: str) -> Account:
    """Return the account if `given` is one of its API secrets, and if the account accepts a secret itself.

    `account`: None if no account has this API key. Raises `Refused`: not_authorized.
    """
    # The secrets of an unknown API key are made up, so that the time does not tell that there is none.
    is_secret = is_secret_of(account or STRANGER, given)
    if not is_secret or account is None or account.signatures == "v2":
        raise Refused(
            NOT_AUTHORIZED,
            "The API key is unknown or Authorization does not hold its API secret: send Authorization: Bearer {apiSecret}. "
            'An account with signatures = "v2" takes requests signed with HMAC only.',
        )
    return account


def is_secret_of(account: Account, given: str) -> bool:
    """Return True if `given` is an API secret of the account.

    Digests are compared, because a comparison of the secrets would tell their length by its time. Two secrets are always
    compared, so that the time does not tell how many there are.
    """
    secrets = account.api_secrets
    digest = _digest(given)
    is_secret = False
    for secret in (secrets[0], secrets[-1]):
        is_secret |= hmac.compare_digest(digest, _digest(secret))
    return is_secret


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
