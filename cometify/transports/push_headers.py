"""The headers of a push: the signature of the whole request, and its Idempotency-Key."""

from cometify.core.admission import check_idempotency_key
from cometify.core.errors import MISSING_PARAMETER, REPEATED_PARAMETER, Refused
from cometify.core.hmac_signature import NONCE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, SignedRequest
from cometify.http.exchange import Exchange

SIGNATURE = SIGNATURE_HEADER.lower()
"""The header that tells a push signed with HMAC from one signed with `secure`, as `Exchange.header` takes names."""
IDEMPOTENCY_KEY = "idempotency-key"
_SIGNATURE_HEADERS = (TIMESTAMP_HEADER.lower(), NONCE_HEADER.lower(), SIGNATURE)


def read_signed_request(request: Exchange) -> SignedRequest:
    """Return the parts of a request that its HMAC signature covers. Raises `Refused`: missing_, repeated_parameter."""
    found = [request.headers(name) for name in _SIGNATURE_HEADERS]
    path, body = request.sent_path, request.body()
    for name, values in zip((TIMESTAMP_HEADER, NONCE_HEADER, SIGNATURE_HEADER), found, strict=True):
        if not values:
            raise Refused(
                MISSING_PARAMETER,
                f"The header {name} is missing: a request signed with HMAC has {TIMESTAMP_HEADER}, {NONCE_HEADER} and "
                f"{SIGNATURE_HEADER}.",
            )
        if len(values) > 1:
            raise _repeated(name)
    (timestamp,), (nonce,), (signature,) = found
    return SignedRequest(request.method, path, body, timestamp, nonce, signature)


def read_idempotency_key(request: Exchange) -> str | None:
    """Return the Idempotency-Key of a request, None if it has none. Raises `Refused`: repeated_, invalid_parameter."""
    values = request.headers(IDEMPOTENCY_KEY)
    if not values:
        return None
    if len(values) > 1:
        raise _repeated("Idempotency-Key")
    return check_idempotency_key(values[0])


def _repeated(name: str) -> Refused:
    return Refused(REPEATED_PARAMETER, f"The header {name} is given more than once: send it once.")
