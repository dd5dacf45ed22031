"""The headers of a push: the signature of the whole request, or the API secret, and the Idempotency-Key."""

from collections.abc import Sequence

from cometify.core.errors import MISSING_PARAMETER, REPEATED_PARAMETER, Refused
from cometify.core.hmac_signature import NONCE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, SignedRequest
from cometify.http.exchange import Exchange

SIGNATURE = SIGNATURE_HEADER.lower()
"""The header that tells a push signed with HMAC from one signed with `secure`, as `Exchange.header` takes names."""
AUTHORIZATION, IDEMPOTENCY_KEY = "authorization", "idempotency-key"
_SIGNATURE_HEADERS = (TIMESTAMP_HEADER.lower(), NONCE_HEADER.lower(), SIGNATURE)


def read_signed_request(request: Exchange) -> SignedRequest:
    """Return the parts of a request that its HMAC signature covers. Raises `Refused`: missing_, repeated_parameter.

    A second Content-Type is refused, because only one of them could be the signed one.
    """
    found = [request.headers(name) for name in _SIGNATURE_HEADERS]
    try:
        (timestamp,), (nonce,), (signature,) = found
    except ValueError:
        raise _not_given_once(found) from None
    content_type = _only_value(request, "Content-Type") or ""
    key = _only_value(request, "Idempotency-Key") or ""
    return SignedRequest(
        request.method, request.sent_path, content_type, key, request.digest(), timestamp, nonce, signature
    )


def _not_given_once(found: Sequence[Sequence[str]]) -> Refused:
    """Make the refusal of a request that lacks or repeats one of the three headers, for the first such header."""
    names = (TIMESTAMP_HEADER, NONCE_HEADER, SIGNATURE_HEADER)
    name, values = next(pair for pair in zip(names, found, strict=True) if len(pair[1]) != 1)
    if values:
        return _repeated(name)
    return Refused(
        MISSING_PARAMETER,
        f"The header {name} is missing: a request signed with HMAC has {TIMESTAMP_HEADER}, {NONCE_HEADER} and "
        f"{SIGNATURE_HEADER}.",
    )


def read_bearer(request: Exchange) -> str | None:
    """Return the API secret that a request holds, None if it holds none. Raises `Refused`: repeated_parameter.

    Other schemes than Bearer are passed over, because they may be meant for a proxy.
    """
    scheme, _, credentials = (request.header(AUTHORIZATION) or "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    _only_value(request, "Authorization")
    return credentials.strip()


def read_idempotency_key(request: Exchange) -> str | None:
    """Return the Idempotency-Key of a request, None if it has none. Raises `Refused`: repeated_parameter."""
    return _only_value(request, "Idempotency-Key")


def _only_value(request: Exchange, name: str) -> str | None:
    """Return the value of a header, None if the request does not have it. Raises `Refused`: repeated_parameter."""
    values = request.headers(name.lower())
    if len(values) > 1:
        raise _repeated(name)
    return values[0] if values else None


def _repeated(name: str) -> Refused:
    return Refused(REPEATED_PARAMETER, f"The header {name} is given more than once: send it once.")
