"""The relay's client, and the reading of refusals."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cometify.client import Cometify, CometifyError, MaybePushed, Pushed
from cometify.client.calls import Call
from cometify.client.errors import INVALID_IDENTIFIER, UNREADABLE_ANSWER
from cometify.client.pushes import read_pushes
from cometify.command.relay.rows import Row

TIMEOUT = 10.0
"""Seconds for a request with all its tries."""
KEPT_MARGIN = 60 * 1_000_000
"""Microseconds by which the clocks of the relay and the server may differ, where kept pushes are looked for."""
_OF_THE_PUSH = frozenset(
    {
        "body_too_large",
        "identifier_mismatch",
        "idempotency_mismatch",
        "invalid_body",
        "invalid_identifier",
        "invalid_parameter",
        "invalid_text",
        "missing_parameter",
        "must_be_secret",
        "repeated_parameter",
        "text_too_long",
        "unknown_parameter",
    }
)
"""The server's codes for a push that must change. All others are about the account, the URL or the moment."""
_NO_IDENTIFIER = frozenset({INVALID_IDENTIFIER, "not_found"})
"""Codes for a path with an identifier that nobody can have."""
TOO_LARGE = 413
_AFTER_THE_KEY = frozenset({"idempotency_mismatch", "nonce_reused", "signature_reused", "too_many_pushes"})
"""Codes of refusals for which the server has looked at the Idempotency-Key. It would have known an accepted request."""
_PASSES = frozenset({408, 425, 429})
"""Statuses of refusals that a later request may escape."""


class RelayClient(Cometify):
    """A client that sends the requests of the relay. They are always signed: the age of a signature bounds a late request."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._address = replace(self._address, bearer=False)

    def send(self, body: bytes, key: str, timestamp: int) -> list[Pushed]:
        """Push a batch. `timestamp`: Unix seconds before the claim. Raises `CometifyError`."""
        return self._call(Call("POST", "/push", read_pushes, body, key, timestamp=timestamp))

    def find(self, rows: list[Row], since: int, between: Callable[[], None]) -> tuple[list[Row], bool]:
        """Look for rows of one identifier among the kept pushes. Returns those that were pushed, and True if there is a gap.

        An identifier that the server refuses has none. `since`: Unix microseconds before the first try. `between`: called
        after each page. Raises `CometifyError`.
        """
        wanted = {row.id: row for row in rows}
        found: list[Row] = []
        after: int | None = max(since - KEPT_MARGIN, 0)
        gap = False
        while after is not None:
            try:
                page = self.pushes(rows[0].identifier, after=after)
            except CometifyError as error:
                if error.code not in _NO_IDENTIFIER:
                    raise
                return [], False
            for push in page.pushes:
                row = wanted.get(-1 if push.push_id is None else push.push_id)
                if row is not None and row.is_kept(push):
                    found.append(wanted.pop(row.id))
            gap, after = gap or page.gap, page.next
            between()
        return found, gap


def is_refused(error: CometifyError) -> bool:
    """True if the server, or a proxy that finds it too long, refused the request. It pushed nothing."""
    if isinstance(error, MaybePushed) or error.status is None:
        return False
    return error.status == TOO_LARGE or (400 <= error.status < 500 and error.code != UNREADABLE_ANSWER)


def is_of_the_push(error: CometifyError) -> bool:
    """True for a refusal that stays until the push is changed."""
    return is_refused(error) and (error.code in _OF_THE_PUSH or error.status == TOO_LARGE)


def is_fatal(error: CometifyError) -> bool:
    """True for a refusal of the account or the URL, which would make a dead letter of every row."""
    passes = error.status in _PASSES or error.code == "nonce_reused"
    return is_refused(error) and not passes and not is_of_the_push(error)


def ends_doubt(error: CometifyError) -> bool:
    """True for a refusal which tells that no earlier request with this key was accepted."""
    return is_refused(error) and error.code in _AFTER_THE_KEY
