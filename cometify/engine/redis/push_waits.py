"""The waits that Redis has told accounts which push too much."""

from collections.abc import Callable

from cometify.core.account import Account
from cometify.core.position import SECOND
from cometify.core.push import Draft

_MOST = 10_000
"""Accounts whose waits are known at once."""
LONGEST = SECOND
"""Microseconds for which Redis is not asked again. A wait can be minutes long if the rate of the account was lowered, and
Redis may be emptied meanwhile."""


class PushWaits:
    """Refuses pushes of which the node knows that Redis would refuse them.

    Redis counts `pushes_per_second` for all nodes, so it must be asked about each push. But once it has refused one, it refuses
    all others until the wait is over that it has told, because nothing but time makes room in the account's bucket. An account
    that floods would otherwise have Redis read thousands of pushes that are refused.

    A push with an Idempotency-Key must be asked about: it may have been accepted before. So must a later push of a batch, which
    counts for nothing.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        """`seconds`: a clock that never goes back."""
        self._seconds = seconds
        self._until: dict[str, tuple[Account, float]] = {}

    @property
    def now(self) -> float:
        """The time, to be noted before a script is sent."""
        return self._seconds()

    def told(self, account: Account, draft: Draft, microseconds: int, asked_at: float) -> None:
        """Note that a push of the account must wait. `asked_at`: `now` before Redis was asked.

        A batch must wait for more room than a push needs, so its wait is not noted.
        """
        if draft.cost == 1:
            if len(self._until) >= _MOST:
                self._until.clear()
            self._until[account.api_key] = account, asked_at + min(microseconds, LONGEST) / SECOND

    def left(self, account: Account, draft: Draft) -> int:
        """The microseconds for which the account may not push this draft. 0: Redis must be asked."""
        if not self._until or draft.key is not None or draft.cost == 0:
            return 0
        asked, until = self._until.get(account.api_key, (None, 0.0))
        left = int((until - self._seconds()) * SECOND)
        if asked is account and left > 0:
            return left
        # The wait is over, or the account was changed.
        self._until.pop(account.api_key, None)
        return 0
