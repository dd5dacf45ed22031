"""Requests signed with HMAC-SHA256: the whole of what is sent, where `secure` signs identifier and text alone."""

import hashlib
import hmac
import re

import attrs

from cometify.core import errors, md5_signature
from cometify.core.account import STRANGER, Account

MOST_OFF = 300
"""Seconds that a timestamp may be off the wall clock. Twice that is as long as nonces are remembered."""
TIMESTAMP, NONCE, SIGNATURE = "Cometify-Timestamp", "Cometify-Nonce", "Cometify-Signature"

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")


@attrs.frozen
class SignedRequest:
    """The three headers as sent, and what of the request they sign: `path` as sent, without the query; `body` whole."""

    method: bytes
    path: bytes
    body: bytes = attrs.field(repr=False)
    timestamp: str
    nonce: str
    signature: str = attrs.field(repr=False)


def hmac_hex(api_secret: str, signed_request: SignedRequest) -> str:
    """What signs a request: the hex of HMAC-SHA256(apiSecret, "v2", method, path, timestamp, nonce, sha256hex(body))."""
    return _hmac_hex(api_secret, _signed(signed_request))


def _hmac_hex(api_secret: str, signed: bytes) -> str:
    return hmac.digest(api_secret.encode(), signed, hashlib.sha256).hex()


def _signed(signed_request: SignedRequest) -> bytes:
    """Six lines, the last without an end."""
    digest = hashlib.sha256(signed_request.body).hexdigest()
    return b"\n".join(
        [
            b"v2",
            signed_request.method,
            signed_request.path,
            signed_request.timestamp.encode(),
            signed_request.nonce.encode(),
            digest.encode(),
        ]
    )


def check_signed_request(account: Account | None, signed_request: SignedRequest, now: float) -> None:
    """Check a signature and its time. `account` is None if there is none of this API key; `now`: the wall clock, in seconds.

    Raises `Refused`: invalid_parameter, not_authorized.
    """
    if not _TIMESTAMP.fullmatch(signed_request.timestamp):
        raise errors.Refused(errors.INVALID_PARAMETER, f"{TIMESTAMP} must be Unix seconds, in digits only.")
    if not _NONCE.fullmatch(signed_request.nonce):
        raise errors.Refused(
            errors.INVALID_PARAMETER,
            f"{NONCE} must be 16 to 64 of A-Z, a-z, 0-9, _ and -, made at random for each request.",
        )
    # Always two secrets are tried, so that the time tells nothing.
    secrets = (account or STRANGER).api_secrets
    signed = _signed(signed_request)
    expected = [_hmac_hex(secret, signed) for secret in (secrets[0], secrets[-1])]
    if not md5_signature.same(signed_request.signature, expected) or account is None:
        raise errors.Refused(
            errors.NOT_AUTHORIZED,
            f"The API key is unknown or {SIGNATURE} does not match: it is the hex of HMAC-SHA256(apiSecret, "
            r'"v2\n" + METHOD + "\n" + path + "\n" + timestamp + "\n" + nonce + "\n" + sha256hex(body)), over the path '
            "without the query and the bytes of the body exactly as they are sent.",
        )
    off = int(signed_request.timestamp) - now
    if not -MOST_OFF < off <= MOST_OFF:  # a nonce is forgotten in the moment in which the last of both ends
        raise errors.Refused(
            errors.NOT_AUTHORIZED,
            f"{TIMESTAMP} is {abs(off):.0f} seconds {'ahead of' if off > 0 else 'behind'} this server's clock, the most is "
            f"{MOST_OFF}: set the clocks, and make it anew for each request.",
        )
