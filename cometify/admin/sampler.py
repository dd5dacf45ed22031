"""A sample of the figures every five seconds, for the pictures of the last hour: see `core/history.py`.

Nothing is counted for it. A sample reads the counts that the server keeps anyway, and keeps the differences. There can be as
many accounts as listeners, so a sample looks at a bounded part of them in each turn of the event loop.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

from cometify.admin.metrics import Figures
from cometify.core.account_histories import AccountHistories
from cometify.core.histogram import Histogram
from cometify.core.history import History
from cometify.core.usage import AccountCounts, Usage
from cometify.runtime.epoll_loop import CallSoon
from cometify.runtime.slices import SlicedWork

STEP = 200
"""Accounts of one step. It takes about 0.1 ms."""

T = TypeVar("T")

Step = Callable[[], None]
_Totals = tuple[int, int, int, int, int]
_NONE: _Totals = (0, 0, 0, 0, 0)


class Sampler:
    """`history`: of the whole process. `accounts`: of its accounts. `wall`: the wall clock, in Unix seconds."""

    def __init__(self, figures: Figures, usage: Usage, call_soon: CallSoon, wall: Callable[[], float]) -> None:
        self.history = History()
        self.accounts = AccountHistories()
        self._figures = figures
        self._usage = usage
        self._wall = wall
        self._redis_latency = figures.engine.stats().latency
        self._work: SlicedWork[Step] = SlicedWork(call_soon, repr, 1)
        self._totals: Counter[str] = Counter()
        self._account_totals: dict[str, _Totals] = {}
        self._of_accounts: dict[str, dict[str, int]] = {}

    def sample(self) -> None:
        """Take a sample, in steps. Does nothing if the one before is not whole."""
        if self._work.is_busy:
            return
        self._of_accounts = {}
        accounts = [partial(self._read, part) for part in _parts(list(self._usage.figures().items()))]
        self._work.add("sampling", [*accounts, self._finish], lambda: _call, at_once=True)

    def _read(self, accounts: Sequence[tuple[str, AccountCounts]]) -> None:
        for api_key, counts in accounts:
            refused = sum(counts.refused.values())
            now = (counts.pushes, counts.deliveries, counts.push_bytes, counts.delivered_bytes, refused)
            before = self._account_totals.get(api_key, _NONE)
            if now != before or counts.listeners:
                self._account_totals[api_key] = now
                self._of_accounts[api_key] = {"listeners": counts.listeners, **_differences(before, now)}

    def _finish(self) -> None:
        now = self._wall()
        totals = _totals(self._figures, self._redis_latency)
        listeners = {f"listeners.{name}": count for name, count in self._figures.registry.listeners().items()}
        # A count of 0 is left out of a Counter's difference, and so is one that began again.
        self.history.add(now, {**(totals - self._totals), **listeners})
        self._totals = totals
        self.accounts.add(now, self._of_accounts)
        known = self._usage.figures()
        for api_key in [api_key for api_key in self._account_totals if api_key not in known]:
            del self._account_totals[api_key]


def _call(step: Step) -> None:
    step()


def _parts(things: Sequence[T]) -> Iterator[list[T]]:
    left = iter(things)
    while part := list(islice(left, STEP)):
        yield part


def _differences(before: _Totals, now: _Totals) -> Mapping[str, int]:
    """The growth of each count. A count that is lower than before has begun again with its account."""
    names = ("pushes", "deliveries", "push_bytes", "delivered_bytes", "refused")
    return {name: max(0, new - old) for name, old, new in zip(names, before, now, strict=True)}


def _totals(figures: Figures, redis_latency: Histogram) -> Counter[str]:
    """All counts of the process since its start, by the name of their column."""
    membership, fan_out = figures.membership, figures.fan_out
    refused = figures.push.refused + membership.refused + figures.disconnect.refused + figures.back_end.refused
    totals = Counter(
        pushes=figures.push.accepted,
        deliveries=fan_out.deliveries,
        gaps=fan_out.gaps,
        joins=sum(membership.joined.values()),
    )
    totals.update({f"refused.{code}": count for code, count in refused.items()})
    totals.update({f"ended.{code}": count for code, count in membership.ended.items()})
    for name, histogram in (("lag", fan_out.lag), ("turn", figures.reactor_lag.lag), ("redis", redis_latency)):
        totals.update({f"{name}.{index}": count for index, count in enumerate(histogram.counts)})
    return totals
