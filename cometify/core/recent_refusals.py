"""The last refusals of a process, for its operator: when, which account, which code, and the words that the caller was told.

Refusals that are alike are one row with a count, because a program that is refused often tries again at once. If there is no
room for a new row, the account with the most rows gives up its oldest one. So an account that floods cannot drive out the
refusals of another.

The detail of a refusal tells how to fix it. It never has a key, a token or a text. An API key of no account is not kept
either, because a caller may have put its secret there by mistake.
"""

from collections import OrderedDict

import attrs

from cometify.core.errors import Refused

MOST_ROWS = 200
"""Rows that are kept."""
MOST_DETAIL = 400
"""Characters of a detail that are kept. Some details name all identifiers of a group."""


@attrs.define(eq=False)
class Row:
    """Refusals that are alike. `account`: None if no account has the API key. `first`, `last`: Unix seconds."""

    account: str | None
    code: str
    detail: str
    first: float
    last: float
    count: int = 1


class RecentRefusals:
    """`most`: the rows that are kept."""

    def __init__(self, most: int = MOST_ROWS) -> None:
        self._most = most
        self._count = 0
        # The rows of each account, by code and detail, in the order of their last refusals.
        self._rows: dict[str | None, OrderedDict[tuple[str, str], Row]] = {}

    def note(self, now: float, account: str | None, refused: Refused) -> None:
        """Keep a refusal. `now`: Unix seconds."""
        rows = self._rows.get(account)
        if rows is None:
            rows = self._rows[account] = OrderedDict()
        detail = refused.detail[:MOST_DETAIL]
        key = refused.code.name, detail
        row = rows.get(key)
        if row is None:
            rows[key] = Row(account, *key, now, now)
            self._count += 1
            if self._count > self._most:
                self._forget_one()
        else:
            row.count += 1
            row.last = now
            rows.move_to_end(key)

    def _forget_one(self) -> None:
        largest = max(self._rows, key=lambda account: len(self._rows[account]))
        self._rows[largest].popitem(last=False)
        if not self._rows[largest]:
            del self._rows[largest]
        self._count -= 1

    def __len__(self) -> int:
        return self._count

    def rows(self) -> list[Row]:
        """Return all rows, the latest first."""
        return sorted([row for rows in self._rows.values() for row in rows.values()], key=lambda row: -row.last)
