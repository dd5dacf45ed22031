"""A page of identifiers, merged from the page of Redis and the pages of all nodes.

Each node sends up to a thousand names. To read and merge the page of one node takes about a millisecond. So each turn of the
event loop merges the page of one node, however many nodes there are and however many back ends ask.
"""

import json
from collections.abc import Iterable

from twisted.internet.defer import Deferred

from cometify.core.identifier_page import IdentifierPage, IdentifierRow, Kept, merged
from cometify.runtime.epoll_loop import CallSoon
from cometify.runtime.slices import SlicedWork


class PageMerge:
    """Merges pages. `call_soon`: see `SlicedWork`."""

    def __init__(self, call_soon: CallSoon) -> None:
        self._turns: SlicedWork[Deferred[None]] = SlicedWork(call_soon, repr, 1)

    def merge(self, kept: IdentifierPage, answers: Iterable[bytes], limit: int) -> Deferred[IdentifierPage]:
        """Merge the page of Redis and the answers of the nodes. Fails if an answer cannot be read."""
        return Deferred.fromCoroutine(self._merge(kept, answers, limit))

    async def _merge(self, page: IdentifierPage, answers: Iterable[bytes], limit: int) -> IdentifierPage:
        for answer in answers:
            await self._turn()
            page = merged([page, _page_of(answer)], limit)
        return page

    def _turn(self) -> Deferred[None]:
        turn: Deferred[None] = Deferred()
        self._turns.add("Merging a page of identifiers", [turn], lambda: _begin)
        return turn


def _begin(turn: Deferred[None]) -> None:
    turn.callback(None)


def _page_of(answer: bytes) -> IdentifierPage:
    rows, following = json.loads(answer)
    return IdentifierPage(tuple([IdentifierRow(name, many, Kept()) for name, many in rows]), following)
