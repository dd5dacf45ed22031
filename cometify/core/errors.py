"""Everything that can be refused: one table of codes, HTTP statuses and close codes, and the exception that carries a row.

A close code tells by its hundred what to do: 40xx do not come back unchanged, 41xx come back with backoff,
42xx come back soon.
"""

import attrs


@attrs.frozen
class Code:
    """A row of the table. `retry` is the number of seconds after which to try again unless told otherwise, or None."""

    name: str
    status: int
    close: int
    title: str
    retry: int | None = None


INVALID_IDENTIFIER = Code("invalid_identifier", 400, 4000, "Not an identifier")
IDENTIFIER_MISMATCH = Code("identifier_mismatch", 400, 4000, "Path and body name different identifiers")
MISSING_PARAMETER = Code("missing_parameter", 400, 4000, "A required parameter is missing")
REPEATED_PARAMETER = Code("repeated_parameter", 400, 4000, "A parameter is given twice")
INVALID_PARAMETER = Code("invalid_parameter", 400, 4000, "A parameter is not in its form")
INVALID_TEXT = Code("invalid_text", 400, 4000, "The text is not valid UTF-8 or holds U+0000")
INVALID_BODY = Code("invalid_body", 400, 4000, "The body could not be read")
NOT_AUTHORIZED = Code("not_authorized", 403, 4001, "Unknown API key or wrong signature")
SIGNATURE_REUSED = Code("signature_reused", 403, 4001, "This signature was used for another identifier")
NONCE_REUSED = Code("nonce_reused", 403, 4001, "This nonce was used already")
INVALID_TOKEN = Code("invalid_token", 403, 4001, "The token is not valid")
ORIGIN_NOT_ALLOWED = Code("origin_not_allowed", 403, 4003, "This origin may not listen")
NOT_FOUND = Code("not_found", 404, 4000, "Nothing is here")
METHOD_NOT_ALLOWED = Code("method_not_allowed", 405, 4000, "Not with this method")
IDEMPOTENCY_MISMATCH = Code("idempotency_mismatch", 409, 4000, "This Idempotency-Key was used for another push")
REPLACED = Code("replaced", 409, 4000, "The same listener connected again")
TEXT_TOO_LONG = Code("text_too_long", 413, 4000, "The text is too long")
BODY_TOO_LARGE = Code("body_too_large", 413, 4000, "The body is too large")
UNSUPPORTED_MEDIA_TYPE = Code("unsupported_media_type", 415, 4000, "The body is of a type that is not understood")
UPGRADE_REQUIRED = Code("upgrade_required", 426, 4000, "A WebSocket handshake is expected here")
TOO_MANY_LISTENERS = Code("too_many_listeners", 429, 4101, "Too many listeners from this address", 10)
ENGINE_UNAVAILABLE = Code("engine_unavailable", 503, 4100, "The engine does not answer", 2)
OVERLOADED = Code("overloaded", 503, 4100, "More is pushed than can be taken", 1)
TOO_SLOW = Code("too_slow", 503, 4103, "The listener did not read", 1)
DRAINING = Code("draining", 503, 4200, "The server is going down", 1)


class Refused(Exception):
    """Something was asked for that is not done. `detail` says to its reader what to do.

    `retry`: seconds after which it may be tried again, None if it is of no use unchanged.
    `allow`: the methods that would do, for `method_not_allowed`.
    """

    def __init__(self, code: Code, detail: str, *, retry: int | None = None, allow: str | None = None) -> None:
        super().__init__(code.name)
        self.code = code
        self.detail = detail
        self.retry = code.retry if retry is None else retry
        self.allow = allow
