"""Requests signed with HMAC-SHA256: a signature over the whole request, where `secure` covers identifier and text alone."""

import hashlib
import hmac
import re

import attrs

from cometify.core.account import STRANGER, Account
from cometify.core.admission import Parameters
from cometify.core.errors import INVALID_PARAMETER, NOT_AUTHORIZED, Refused
from cometify.core.md5_signature import same
from cometify.core.push import Draft

MAX_CLOCK_DIFFERENCE = 300
"""Seconds by which a timestamp may differ from the wall clock. A nonce is remembered for twice as long."""
TIMESTAMP_HEADER, NONCE_HEADER, SIGNATURE_HEADER = "Cometify-Timestamp", "Cometify-Nonce", "Cometify-Signature"

_TIMESTAMP_PATTERN = re.compile(r"[0-9]{1,12}")
_NONCE_PATTERN = re.compile(r"[A-Za-z0-9_-]{16,64}")


@attrs.frozen
class SignedRequest:
    """The signed parts of a request and its three headers, all exactly as sent. `path`: without the query.

    `digest`: of the body.

    The content type is signed because it says what the bytes of the body mean. The Idempotency-Key is signed because it
    can turn a push into a repetition of another one. Each is empty if the request does not have it.
    """

    method: bytes
    path: bytes
    content_type: str
    idempotency_key: str
    digest: str = attrs.field(repr=False)
    timestamp: str
    nonce: str
    signature: str = attrs.field(repr=False)

    @property
    def signed_bytes(self) -> bytes:
        """The bytes that the signature covers: eight lines, the last without a line end."""
        headers = f"{self.timestamp}\n{self.nonce}\n{self.content_type}\n{self.idempotency_key}\n{self.digest}"
        return b"v2\n%b\n%b\n%b" % (self.method, self.path, headers.encode())


def digest(body: bytes) -> str:
    """Return the SHA-256 of a body in hex, as a signature covers it."""
    return hashlib.sha256(body).hexdigest()


def signature(api_secret: str, signed_request: SignedRequest) -> str:
    """Return the signature of a request with an API secret, in hex."""
    return _signature(api_secret, signed_request.signed_bytes)


def check_signed_request(account: Account | None, signed_request: SignedRequest, now: float) -> Account:
    """Return the account whose signature a request has, if it was made within `MAX_CLOCK_DIFFERENCE` of now.

    `account`: None if no account has this API key. `now`: the wall clock, in Unix seconds. Raises `Refused`:
    invalid_parameter, not_authorized.
    """
    _check_format(signed_request)
    # Two secrets are always tried, those of an unknown API key being made up, so that the time tells nothing.
    secrets = (account or STRANGER).api_secrets
    signed = signed_request.signed_bytes
    expected = [_signature(secret, signed) for secret in (secrets[0], secrets[-1])]
    if not same(signed_request.signature, expected) or account is None:
        raise _not_authorized()
    _check_timestamp(signed_request, now)
    return account


def check_signed_head(account: Account | None, signed_request: SignedRequest, now: float) -> None:
    """Refuse a request that cannot be accepted, whatever its body is. To be asked before a long body is read.

    The digest of `signed_request` and its signature are not looked at. The timestamp comes first, so that an unknown API key
    and a known one get the same answer to a wrong one. Otherwise see `check_signed_request`.
    """
    _check_format(signed_request)
    _check_timestamp(signed_request, now)
    if account is None:
        raise _not_authorized()


def _signature(api_secret: str, signed: bytes) -> str:
    return hmac.digest(api_secret.encode(), signed, hashlib.sha256).hex()


def _check_format(signed_request: SignedRequest) -> None:
    if not _TIMESTAMP_PATTERN.fullmatch(signed_request.timestamp):
        raise Refused(INVALID_PARAMETER, f"{TIMESTAMP_HEADER} must be Unix seconds, in digits only.")
    if not _NONCE_PATTERN.fullmatch(signed_request.nonce):
        raise Refused(
            INVALID_PARAMETER,
            f"{NONCE_HEADER} must be 16 to 64 of A-Z, a-z, 0-9, _ and -: make a new one at random for each request.",
        )


def _check_timestamp(signed_request: SignedRequest, now: float) -> None:
    ahead = int(signed_request.timestamp) - now
    # The lower bound is excluded: at that moment the engine forgets the nonce, so that a replay would get through.
    if not -MAX_CLOCK_DIFFERENCE < ahead <= MAX_CLOCK_DIFFERENCE:
        raise Refused(
            NOT_AUTHORIZED,
            f"{TIMESTAMP_HEADER} is {abs(ahead):.0f} seconds {'ahead of' if ahead > 0 else 'behind'} this server's clock, "
            f"the most is {MAX_CLOCK_DIFFERENCE}: set the clocks, and sign each request with the present time.",
        )


def _not_authorized() -> Refused:
    return Refused(
        NOT_AUTHORIZED,
        f"The API key is unknown or {SIGNATURE_HEADER} does not match. If a library signs, check the API key and the "
        f"API secret in its URL. If you sign yourself: {SIGNATURE_HEADER} is the hex of HMAC-SHA256(apiSecret, "
        r'"v2\n" + METHOD + "\n" + path + "\n" + timestamp + "\n" + nonce + "\n" + contentType + "\n" + '
        r'idempotencyKey + "\n" + sha256hex(body)). Sign eight lines: the path without the query, the headers '
        "Content-Type and Idempotency-Key (an empty line for one that is not sent) and the bytes of the body, all "
        "exactly as they are sent.",
    )


def note_nonce(nonce: str, draft: Draft, _parameters: Parameters) -> None:
    """Note the nonce of a checked request on its draft. See `admission.Verifier`. The parameter `secure` is ignored."""
    draft.nonce = nonce
