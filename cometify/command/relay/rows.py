"""Rows of the outbox, and the requests that they become."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import NoReturn

import attrs

from cometify.client.lists import KeptPush
from cometify.client.pushes import ABSENT

MAX_PIECE = 2**20
"""Bytes of one push in a request. Any push that the server takes has less, with all escapes."""
MAX_BODY = 4 * 2**20
"""Bytes of a request, unless its only push has more. The server takes twice as many."""
_MAX_NUMBER = 2**53 - 1
_KEY = re.compile(r"[!-~]{1,128}")
"""A key that arrives as it was sent. Spaces at its ends would not, and the signature would be wrong."""


class Unsendable(Exception):
    """A row that cannot be written into a request. `code`: the server's. `detail`: what to change."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


@attrs.frozen
class Row:
    """A row of the outbox. Times are Unix microseconds."""

    id: int
    idempotency_key: str
    identifier: str
    text: str | None
    data: str | None
    secret: int
    event: str | None
    except_listener: str | None
    tries: int
    first_tried_at: int | None
    next_try_at: int | None
    created_at: int

    @property
    def folded(self) -> str:
        """The identifier in lower case. Two spellings are one identifier."""
        return self.identifier.lower()

    def encoded(self) -> bytes:
        """Return the JSON of the push. `data` stands in it as it stands in the row. Raises `Unsendable`."""
        if any(isinstance(value, bytes) for value in attrs.astuple(self)):
            raise Unsendable("invalid_text", "The row holds bytes that are not UTF-8: write text into its columns.")
        fields: dict[str, object] = {"identifier": self.identifier, "secret": self.secret}
        fields["push_id"] = self.id if self.id <= _MAX_NUMBER else str(self.id)
        if self.event is not None:
            fields["event"] = self.event
        if self.except_listener is not None:
            fields["except"] = self.except_listener
        if self.text is not None:
            fields["text"] = self.text
        written = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        if self.data is not None:
            _read_json(self.data)
            written = f'{written[:-1]},"data":{self.data}}}'
        piece = written.encode()
        if len(piece) > MAX_PIECE:
            raise Unsendable("text_too_long", f"The push has {len(piece)} bytes: push the id of the row instead.")
        return piece

    def is_kept(self, push: KeptPush) -> bool:
        """True if a kept push is this row. The content is compared too, because others may use the same push_id."""
        if push.push_id != self.id:
            return False
        if self.data is None:
            return push.text == self.text
        return push.data is not ABSENT and push.data == json.loads(self.data)


def _read_json(text: str) -> None:
    """Check that a text is JSON. Raises `Unsendable`."""

    def refuse(_constant: str) -> NoReturn:
        raise ValueError

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise Unsendable("invalid_parameter", "data is no JSON: write a JSON value into the column.") from None


@attrs.frozen
class Batch:
    """Rows that are one request, now and whenever it is repeated.

    `first_tried_at`: no other batch has the same. `due`: do not send it before. `last_tried_at`: a request can have been sent
    until then. `is_in_doubt`: an earlier request may have been accepted. Times are Unix microseconds.
    """

    rows: tuple[Row, ...]
    first_tried_at: int
    due: int = 0
    last_tried_at: int = 0
    tries: int = 0
    is_in_doubt: bool = False

    @property
    def ids(self) -> list[int]:
        """The ids of its rows."""
        return [row.id for row in self.rows]

    @property
    def identifiers(self) -> set[str]:
        """The identifiers that wait for it."""
        return {row.folded for row in self.rows}

    @property
    def key(self) -> str:
        """The Idempotency-Key. It depends on the rows alone, so that each owner finds the same one."""
        keys = "\n".join(row.idempotency_key for row in self.rows)
        if len(self.rows) == 1:
            if _KEY.fullmatch(keys):
                return keys
            # Somebody wrote an empty key, or one that no header can hold. It may have been that of another row before.
            keys = f"{self.rows[0].id}\n{keys}"
        return f"outbox-{hashlib.sha256(keys.encode()).hexdigest()}"

    def body(self) -> bytes:
        """Return the body of the request. Raises `Unsendable`."""
        return b"[" + b",".join([row.encoded() for row in self.rows]) + b"]"


def batches_in_doubt(rows: Sequence[Row]) -> list[Batch]:
    """Put the rows with an unanswered request together as they were sent, in the order of their ids."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        assert row.first_tried_at is not None
        found.setdefault(row.first_tried_at, []).append(row)
    return [
        Batch(
            tuple(together),
            first,
            last_tried_at=max([first, *(row.next_try_at or 0 for row in together)]),
            tries=max(row.tries for row in together),
            is_in_doubt=True,
        )
        for first, together in found.items()
    ]


def cut(rows: Sequence[Row]) -> tuple[list[Row], list[tuple[Row, Unsendable]]]:
    """Return the rows that fit one request, in their order, and those before its end that cannot be sent at all."""
    fitting: list[Row] = []
    unsendable: list[tuple[Row, Unsendable]] = []
    size = 0
    for row in rows:
        try:
            size += len(row.encoded()) + 1
        except Unsendable as reason:
            unsendable.append((row, reason))
            continue
        if fitting and size > MAX_BODY:
            break
        fitting.append(row)
    return fitting, unsendable
