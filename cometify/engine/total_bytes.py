"""A bound of the bytes that all accounts keep together in this process.

`keep_bytes` bounds each account alone, so that many accounts can keep more together than the machine has memory. When all of
them together keep too much, the account that keeps the most drops its oldest pushes. So an account that keeps little loses
nothing because another one pushes much.

Public and secret pushes have a bound each, which is half of the setting. A listener without a right to secret pushes would
otherwise notice them, because they would drive public pushes out.
"""

from collections.abc import Callable, Iterable
from heapq import nlargest

from cometify.core.retention import Retention

SLACK = 100
"""The largest account stays the one that drops until it keeps a hundredth of the bound less than the next. Looking at all
accounts takes some time, so it is not done for each push."""


class TotalBytes:
    """The bound of one kind of pushes. `most`: the bytes that may be kept. `accounts`: returns the part of each account.

    `counted` of a part: the bytes of it that are in the total.
    """

    def __init__(self, most: int, accounts: Callable[[], Iterable[Retention]]) -> None:
        self.most = most
        self.kept = 0
        self._accounts = accounts
        self._largest: Retention | None = None
        self._least = 0

    def count(self, account: Retention) -> None:
        """Note what an account keeps now."""
        kept = account.kept_bytes
        self.kept += kept - account.counted
        account.counted = kept

    def bound(self, account: Retention, steps: int) -> None:
        """Note what an account keeps now, and drop the oldest pushes of the largest account if all together keep too much.

        Drops at most `steps` pushes. The next call goes on.
        """
        self.count(account)
        while steps > 0 and self.kept > self.most:
            largest = self._choose(account)
            # Down to the bound, or to where another account is the largest.
            enough = max(largest.counted - (self.kept - self.most), self._least - 1)
            steps -= max(1, largest.drop(0, enough, steps))
            self.count(largest)

    def _choose(self, grown: Retention) -> Retention:
        """Return the account that drops. `grown`: the only account that keeps more than at the last choice."""
        largest = self._largest
        if largest is None or largest.kept_bytes < self._least:
            for account in self._accounts():
                self.count(account)
            largest, *second = nlargest(2, self._accounts(), key=lambda account: account.counted)
            self._chosen(largest, second[0].counted if second else 0)
        elif grown.counted > largest.counted:
            self._chosen(grown, largest.counted)
            largest = grown
        return largest

    def _chosen(self, largest: Retention, second: int) -> None:
        self._largest = largest
        self._least = max(1, second - self.most // SLACK)
