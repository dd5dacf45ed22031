"""The questions of a back end, answered by a server without Redis: see `IQueries`."""

from collections.abc import Callable

from twisted.internet.defer import Deferred, execute, succeed

from cometify.core.account import Account
from cometify.core.identifier_page import AskedNames, IdentifierDetails, IdentifierPage, added, kept_in
from cometify.core.push_page import AskedPushes, PushPage, has_gap, page_of
from cometify.engine.memory_account import AccountState
from cometify.interfaces import IListenerCounts


class MemoryQueries:
    """`state(api_key)`: the account. `watermark(api_key)`: its position now."""

    _counts: IListenerCounts
    """See `IQueries.count_with`."""

    def __init__(self, state: Callable[[str], AccountState], watermark: Callable[[str], int]) -> None:
        self._state = state
        self._watermark = watermark

    def count_with(self, counts: IListenerCounts) -> None:
        self._counts = counts

    def use_nonce(self, account: Account, nonce: str) -> Deferred[None]:
        now = self._watermark(account.api_key)
        return execute(self._state(account.api_key).requests.use_nonce, account, nonce, now)

    def pushes(self, account: Account, identifier: str, asked: AskedPushes) -> Deferred[PushPage]:
        state = self._state(account.api_key)
        now = self._watermark(account.api_key)
        since = asked.since(now)
        ring = state.rings.rings.get(identifier)
        pushes = () if ring is None else ring.after(since)
        return succeed(page_of(pushes, asked.limit, has_gap(since, now, state.floor_of(identifier))))

    def identifiers(self, account: Account, asked: AskedNames) -> Deferred[IdentifierPage]:
        return self._counts.page(self._state(account.api_key).rings, asked)

    def identifier(self, account: Account, identifier: str) -> Deferred[IdentifierDetails]:
        count = self._counts.of((account.api_key, identifier))
        ring = self._state(account.api_key).rings.rings.get(identifier)
        return succeed(IdentifierDetails(identifier, added([count]), kept_in(ring)))
