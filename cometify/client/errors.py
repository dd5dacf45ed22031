"""The errors that a program which pushes must handle. All of them are `CometifyError`."""

INVALID_URL = "invalid_url"
"""The URL of the server or the account cannot be used."""
UNREACHABLE = "unreachable"
"""No connection was made, so nothing was sent."""
NO_ANSWER = "no_answer"
"""The request was sent, and no whole answer came."""
UNREADABLE_ANSWER = "unreadable_answer"
"""The answer is not one of Cometify's: something else answers at this URL."""

INVALID_BODY, INVALID_IDENTIFIER, INVALID_PARAMETER, INVALID_TEXT, MISSING_PARAMETER = (
    "invalid_body",
    "invalid_identifier",
    "invalid_parameter",
    "invalid_text",
    "missing_parameter",
)
"""The server's codes for arguments that cannot be sent."""


class CometifyError(Exception):
    """A request failed, or its arguments were refused before it was sent.

    - `code`: for programs. One of the server's codes (docs/errors.md) or of this module's.
    - `detail`: for people. It says what to do. It holds no secret.
    - `status`: the HTTP status of the answer; None if there was no answer.
    - `retry_after`: the seconds after which the server wants the request again; None if it did not say.
    - `idempotency_key`: the Idempotency-Key of the push. Give it again to send the same push again.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        status: int | None = None,
        retry_after: float | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        # All of them are arguments of Exception, so that the error can be pickled, as task queues do.
        super().__init__(code, detail, status, retry_after, idempotency_key)
        self.code = code
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        self.idempotency_key = idempotency_key

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class MaybePushed(CometifyError):
    """The push may have been made. It is safe to send it again with the same `idempotency_key`, because it is made once."""
