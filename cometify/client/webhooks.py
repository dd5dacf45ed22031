"""The check of a webhook: its signature and its age."""

import hmac
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import CometifyError
from .signing import sign

OLDEST = 300
"""Seconds by which the timestamp of a request may differ from this machine's clock."""
NOT_AUTHORIZED = "not_authorized"
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def verified_events(
    api_secrets: Iterable[str], path: str, headers: Mapping[str, str], body: bytes, now: float
) -> list[dict[str, Any]]:
    """Return the events of a request that one of the secrets has signed. Raises `CometifyError` (not_authorized)."""
    given = {name.lower().replace("_", "-"): value for name, value in headers.items()}
    timestamp, signature = given.get("cometify-timestamp", ""), given.get("cometify-signature", "")
    is_time = bool(_TIMESTAMP.fullmatch(timestamp))
    signed = (
        "POST",
        path.partition("?")[0],
        int(timestamp) if is_time else 0,
        given.get("cometify-nonce", ""),
        given.get("content-type", ""),
        given.get("idempotency-key", ""),
        body,
    )
    # Every secret is compared, so that the time does not tell which one signs.
    fits = [
        hmac.compare_digest(sign(one, *signed).encode(), signature.encode("utf-8", "replace")) for one in api_secrets
    ]
    if not (is_time and any(fits)):
        raise CometifyError(
            NOT_AUTHORIZED,
            "The signature does not match: answer 403. If it comes from your server, compare the API secret, and give the path "
            "and the bytes of the body as they came.",
        )
    if abs(now - int(timestamp)) > OLDEST:
        raise CometifyError(NOT_AUTHORIZED, "The request is too old or too new: answer 403, and compare the clocks.")
    events: list[dict[str, Any]] = json.loads(body)
    return events
