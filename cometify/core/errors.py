"""The table of error codes, with their HTTP statuses and WebSocket close codes, and the exception that carries a row.

The hundred of a close code tells the client what to do, as Pusher's close codes do:

    40xx  do not reconnect unchanged
    41xx  reconnect with backoff
    42xx  reconnect soon
"""

import attrs


@attrs.frozen
class Code:
    """A row of the table."""

    name: str
    """The `code` of a problem document or of an error frame."""
    status: int
    """The HTTP status."""
    close: int
    """The WebSocket close code."""
    title: str
    """The `title` of a problem document (RFC 9457)."""
    retry: int | None = None
    """The seconds after which to try again, unless the refusal has its own; None: do not try again unchanged."""


INVALID_IDENTIFIER = Code("invalid_identifier", 400, 4000, "Not an identifier")
MUST_BE_SECRET = Code("must_be_secret", 400, 4000, "This identifier takes secret pushes only")
IDENTIFIER_MISMATCH = Code("identifier_mismatch", 400, 4000, "Path and body name different identifiers")
MISSING_PARAMETER = Code("missing_parameter", 400, 4000, "A required parameter is missing")
UNKNOWN_PARAMETER = Code("unknown_parameter", 400, 4000, "A parameter has the wrong name")
REPEATED_PARAMETER = Code("repeated_parameter", 400, 4000, "A parameter is given twice")
INVALID_PARAMETER = Code("invalid_parameter", 400, 4000, "A parameter is not valid")
INVALID_TEXT = Code("invalid_text", 400, 4000, "The text is not valid UTF-8 or holds U+0000")
INVALID_BODY = Code("invalid_body", 400, 4000, "The body could not be read")
NOT_AUTHORIZED = Code("not_authorized", 403, 4001, "Unknown API key or wrong signature")
SIGNATURE_REUSED = Code("signature_reused", 403, 4001, "This signature was used for another identifier")
NONCE_REUSED = Code("nonce_reused", 403, 4001, "This nonce has already been used")
INVALID_TOKEN = Code("invalid_token", 403, 4001, "The token is not valid")
ORIGIN_NOT_ALLOWED = Code("origin_not_allowed", 403, 4003, "This origin may not listen")
NOT_FOUND = Code("not_found", 404, 4000, "Not found")
METHOD_NOT_ALLOWED = Code("method_not_allowed", 405, 4000, "Method not allowed")
ACCOUNT_CONFLICT = Code("account_conflict", 409, 4000, "The account cannot be changed in this way")
IDEMPOTENCY_MISMATCH = Code("idempotency_mismatch", 409, 4000, "This Idempotency-Key was used for another push")
REPLACED = Code("replaced", 409, 4000, "The same listener has connected again")
TEXT_TOO_LONG = Code("text_too_long", 413, 4000, "The text is too long")
BODY_TOO_LARGE = Code("body_too_large", 413, 4000, "The body is too large")
UNSUPPORTED_MEDIA_TYPE = Code("unsupported_media_type", 415, 4000, "The content type of the body is not supported")
UPGRADE_REQUIRED = Code("upgrade_required", 426, 4000, "A WebSocket handshake is required")
TOO_MANY_LISTENERS = Code("too_many_listeners", 429, 4101, "Too many listeners", 10)
ACCOUNT_SUSPENDED = Code("account_suspended", 429, 4102, "The account is suspended", 300)
TOO_MANY_PUSHES = Code("too_many_pushes", 429, 4101, "Too many pushes", 1)
ENGINE_UNAVAILABLE = Code("engine_unavailable", 503, 4100, "The engine does not answer", 2)
OVERLOADED = Code("overloaded", 503, 4100, "Too much is asked of the server at once", 1)
TOO_SLOW = Code("too_slow", 503, 4103, "The listener did not read for too long", 1)
DRAINING = Code("draining", 503, 4200, "The server is shutting down", 1)


class Refused(Exception):
    """A request was refused. `detail` tells the caller how to fix it.

    `retry`: the seconds after which to try again, by default those of the code; None: do not try again unchanged.
    `allow`: the methods that are allowed, for `method_not_allowed`.
    """

    def __init__(self, code: Code, detail: str, *, retry: int | None = None, allow: str | None = None) -> None:
        super().__init__(code.name)
        self.code = code
        self.detail = detail
        self.retry = code.retry if retry is None else retry
        self.allow = allow
