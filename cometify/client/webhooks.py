"""The check of a webhook: its signature and its age."""

import hmac
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import INVALID_PARAMETER, CometifyError
from .signing import sign

OLDEST = 300
"""Seconds by which the timestamp of a request may differ from this machine's clock."""
NOT_AUTHORIZED = "not_authorized"
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def verified_events(
    api_secrets: Iterable[str], path: str, headers: Mapping[str, str], body: bytes, now: float
) -> list[dict[str, Any]]:
    """Return the events of a request that one of the secrets has signed.

    Raises `CometifyError`: not_authorized, whatever a stranger has sent. invalid_parameter if an argument is of another
    type, or a secret is empty.
    """
    if not isinstance(path, str):
        raise _wrong("path must be a string: the path of the request.")
    if not isinstance(body, bytes | bytearray | memoryview):
        raise _wrong("body must be the bytes of the request, as they came.")
    content = bytes(body)
    given = _by_name(headers)
    timestamp, signature = given.get("cometify-timestamp", ""), given.get("cometify-signature", "")
    is_time = bool(_TIMESTAMP.fullmatch(timestamp))
    signed = (
        "POST",
        path.partition("?")[0],
        int(timestamp) if is_time else 0,
        given.get("cometify-nonce", ""),
        given.get("content-type", ""),
        given.get("idempotency-key", ""),
        content,
    )
    # Every secret is compared, so that the time does not tell which one signs.
    fits = [_fits(one, signed, signature) for one in api_secrets]
    if not (is_time and any(fits)):
        raise CometifyError(
            NOT_AUTHORIZED,
            "The signature does not match: answer 403. If it comes from your server, compare the API secret, and give the path "
            "and the bytes of the body as they came.",
        )
    if abs(now - int(timestamp)) > OLDEST:
        raise CometifyError(NOT_AUTHORIZED, "The request is too old or too new: answer 403, and compare the clocks.")
    return _events(content)


def _by_name(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers by their names in lower case. Those of some frameworks are bytes, or only have `items`."""
    try:
        pairs = [(_text(name), _text(value)) for name, value in headers.items()]
    except (AttributeError, TypeError, ValueError):
        raise _wrong("headers must be a mapping of names to values.") from None
    return {name.lower().replace("_", "-"): value for name, value in pairs}


def _text(value: object) -> str:
    """Return a name or a value of a header. Anything else becomes empty, as if it was not sent."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""


def _fits(api_secret: str, signed: tuple[str, str, int, str, str, str, bytes], signature: str) -> bool:
    # Everybody can sign with an empty secret.
    if not isinstance(api_secret, str) or not api_secret:
        raise _wrong("other_secret must be a string that is not empty: leave it out if there is no other secret.")
    try:
        expected = sign(api_secret, *signed)
    except UnicodeEncodeError:  # a part that is not UTF-8 was not signed by the server
        return False
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def _events(body: bytes) -> list[dict[str, Any]]:
    try:
        events = json.loads(body)
    except (ValueError, RecursionError):
        events = None
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise CometifyError(
            NOT_AUTHORIZED,
            "The body is signed and is no list of events: answer 403, and give the path of the webhook alone.",
        )
    return events


def _wrong(detail: str) -> CometifyError:
    return CometifyError(INVALID_PARAMETER, detail)
