"""Pages of the list of an account's identifiers: the question of a back end, and the answer.

Pages are in the order of the names, and each begins behind the last name of the page before it. So identifiers that come and
go meanwhile do not move the others: an identifier that was there all the time is on exactly one page.
"""

from collections.abc import Iterable, Mapping

import attrs

from cometify.core import encodings
from cometify.core.ring import RingBuffer

TRANSPORTS = [encoding.name for encoding in (encodings.WEBSOCKET, encodings.STREAM, encodings.EVENTS, encodings.POLL)]
"""The names of the transports. An answer has each of them, also where nobody uses it."""


@attrs.frozen
class AskedNames:
    """The names that a page may have: those that begin with `prefix` and are above `after`, at most `limit` of them.

    `prefix` and `after`: in lower case, each empty if it was not sent.
    """

    prefix: str
    after: str
    limit: int

    @property
    def lowest(self) -> str:
        """The lowest name that the page may have."""
        # No name has a character as low as this, so nothing lies between `after` and the result.
        return max(f"{self.after}\0", self.prefix) if self.after else self.prefix

    def has(self, name: str) -> bool:
        """True if a name, which is not below `lowest`, begins with the prefix. If it does not, no later name does."""
        return name.startswith(self.prefix)


@attrs.frozen
class Kept:
    """The pushes kept of one identifier: their number, the bytes of their frames, and the position of the newest one."""

    pushes: int = 0
    bytes: int = 0
    position: int | None = None


@attrs.frozen
class IdentifierRow:
    """One identifier of a page. `listeners`: those of all nodes that were asked."""

    identifier: str
    listeners: int
    kept: Kept


@attrs.frozen
class IdentifierPage:
    """A page. `next`: the name after which the next page begins, or None if this page is the last."""

    rows: tuple[IdentifierRow, ...]
    next: str | None = None


def merged(pages: Iterable[IdentifierPage], limit: int) -> IdentifierPage:
    """Make one page of the pages of several sources. They answer the same question, each with a part of the figures.

    The names beyond the `next` of a page are unknown, so the merged page ends there at the latest.
    """
    pages = list(pages)
    end = min([page.next for page in pages if page.next is not None], default=None)
    rows: dict[str, IdentifierRow] = {}
    for page in pages:
        for row in page.rows:
            if end is None or row.identifier <= end:
                before = rows.get(row.identifier)
                rows[row.identifier] = row if before is None else _both(before, row)
    found = [rows[name] for name in sorted(rows)]
    if len(found) > limit:
        return IdentifierPage(tuple(found[:limit]), found[limit - 1].identifier)
    return IdentifierPage(tuple(found), end)


def _both(one: IdentifierRow, other: IdentifierRow) -> IdentifierRow:
    return IdentifierRow(one.identifier, one.listeners + other.listeners, one.kept if one.kept.pushes else other.kept)


@attrs.frozen
class ListenerCount:
    """The listeners of one identifier, by transport. `secret`: how many of them have a right to its secret pushes."""

    transports: Mapping[str, int]
    secret: int = 0

    @property
    def total(self) -> int:
        """The listeners on all transports."""
        return sum(self.transports.values())


def added(counts: Iterable[ListenerCount]) -> ListenerCount:
    """Add the counts of several nodes."""
    transports, secret = dict.fromkeys(TRANSPORTS, 0), 0
    for count in counts:
        secret += count.secret
        for name, number in count.transports.items():
            transports[name] = transports.get(name, 0) + number
    return ListenerCount(transports, secret)


@attrs.frozen
class IdentifierDetails:
    """The answer to a question about one identifier."""

    identifier: str
    listeners: ListenerCount
    kept: Kept


def kept_in(ring: RingBuffer | None) -> Kept:
    """Count the pushes that a ring keeps."""
    if not ring:
        return Kept()
    return Kept(len(ring), ring.kept_bytes, max([kept.newest for kept in (ring.public, ring.secret) if len(kept)]))
