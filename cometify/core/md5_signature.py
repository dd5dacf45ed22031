"""The seed's two MD5 signatures: `secure`, which signs a push, and `secureKey`, which signs a list to listen to.

Every comparison takes the same time for all values. MD5 is used because the seed promises these signatures to users. Other
modules protect against the weaknesses of MD5 and of the formula:

- A text with NUL characters is refused before its signature is checked, because length extension needs them.
- An accepted signature is remembered with its identifier, because the formula has no separator between identifier and text.
"""

import hashlib
import hmac
from collections.abc import Iterable
from functools import lru_cache

from cometify.core.account import STRANGER, Account
from cometify.core.admission import Parameters, missing
from cometify.core.errors import INVALID_PARAMETER, NOT_AUTHORIZED, Refused
from cometify.core.push import Draft


def md5hex(text: str) -> str:
    """Return the hex MD5 of the UTF-8 of `text`."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def secure(api_key: str, api_secret: str, identifier: str, text: str) -> str:
    """Return the signature of a push: md5hex([API key] + md5hex([API secret]) + [identifier] + [text]) (the seed).

    `identifier`: as it was sent, because its case is signed.
    """
    return md5hex(api_key + _digest_of_secret(api_secret) + identifier + text)


# The secret alone is the key of this cache, so that an unknown API key costs no more than a known one.
_digest_of_secret = lru_cache(1024)(md5hex)


def secure_key(api_key: str, api_secret: str, names: str) -> str:
    """Return the key to the secret pushes of a list: md5hex([API key] + [API secret] + md5hex([identifiers])) (the seed).

    `names`: the identifiers as they were sent, comma separated.
    """
    return md5hex(api_key + api_secret + md5hex(names))


def same(given: str, expected: Iterable[str]) -> bool:
    """Return True if `given` is one of the hex digests `expected`, in upper or lower case.

    All of them are compared, each in constant time.
    """
    if not given.isascii():
        return False  # compare_digest refuses such a string, and a hex digest is ASCII
    sent = given.lower()
    found = False
    for digest in expected:
        found |= hmac.compare_digest(sent, digest)
    return found


def verify_secure(account: Account | None, api_key: str, draft: Draft, parameters: Parameters) -> None:
    """Check the parameter `secure` of a push, and note the signature on the draft. See `admission.Verifier`.

    `account`: None if no account has this API key. Raises `Refused`: missing_parameter, invalid_parameter,
    not_authorized.
    """
    if draft.uncovered is not None:
        raise _not_covered(draft.uncovered)
    given = parameters.get("secure")
    if given is None:
        raise missing("secure")
    if not isinstance(given, str):
        raise Refused(INVALID_PARAMETER, "secure must be a string: the hex MD5 that signs the push.")
    # An unknown API key costs the same work as a wrong signature: two secrets are always tried before a refusal. For an
    # unknown key these are the made-up secrets of `STRANGER`. A right signature proves that the account exists, so the
    # second secret is not tried then: it would cost a tenth of a push.
    secrets = (account or STRANGER).api_secrets
    spelled, text = draft.identifier.spelled, draft.text
    is_signed = same(given, (secure(api_key, secrets[0], spelled, text),)) or same(
        given, (secure(api_key, secrets[-1], spelled, text),)
    )
    if not is_signed or account is None or account.signatures != "any":
        raise Refused(
            NOT_AUTHORIZED,
            "The API key is unknown or secure does not match: it is md5hex(apiKey + md5hex(apiSecret) + identifier + text), "
            "over exactly the identifier and text that are sent, before they are urlencoded. An account with signatures = "
            '"v2" takes requests signed with HMAC only.',
        )
    draft.signature = bytes.fromhex(given)


def _not_covered(name: str) -> Refused:
    return Refused(
        INVALID_PARAMETER,
        f"secure does not cover {name}: sign the request with HMAC, or send Authorization: Bearer {{apiSecret}} over TLS.",
    )
