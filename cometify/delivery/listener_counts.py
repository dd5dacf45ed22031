"""The listeners of this node, counted by identifier, for the lists that a back end asks for.

A page can have a thousand identifiers. Any number of others that nobody listens to any longer can lie between them.
So a page is made in steps. Each step begins behind the last name of the one before it, even if names have come or gone
meanwhile.
"""

from collections import Counter

import attrs
from twisted.internet.defer import Deferred

from cometify.core.identifier_page import AskedNames, IdentifierPage, IdentifierRow, Kept, ListenerCount, kept_in
from cometify.core.retention import AccountRings
from cometify.core.ring import Channel
from cometify.delivery.registry import Registry
from cometify.runtime.epoll_loop import CallSoon

STEP = 300
"""Identifiers and views that are looked at in one step, at about 3 us each."""
MOST_STEPS = 200
"""Steps of one page. A page that would take more is short, and the next page goes on."""


NOTHING = Kept()


class ListenerCounts:
    """See `IListenerCounts`. `call_soon(0, function)` makes a call in the next turn of the event loop."""

    def __init__(self, registry: Registry, call_soon: CallSoon) -> None:
        self._registry = registry
        self._call_soon = call_soon

    def of(self, channel: Channel) -> ListenerCount:
        transports: Counter[str] = Counter()
        secret = 0
        for view, seen in self._registry.views(channel).items():
            transports[view.encoding.name] += view.members
            secret += view.members if seen else 0
        return ListenerCount(transports, secret)

    def page(self, rings: AccountRings, asked: AskedNames, *, listened_only: bool = False) -> Deferred[IdentifierPage]:
        walk = _Walk(self._registry, self._call_soon, rings, asked, listened_only, asked.lowest)
        walk.step()
        return walk.made


@attrs.define(eq=False)
class _Walk:
    """The making of one page. `lowest`: the lowest name that was not looked at yet. `left`: the steps that it may take."""

    registry: Registry
    call_soon: CallSoon
    rings: AccountRings
    asked: AskedNames
    listened_only: bool
    lowest: str
    left: int = MOST_STEPS
    rows: list[IdentifierRow] = attrs.Factory(list)
    made: Deferred[IdentifierPage] = attrs.Factory(Deferred)

    def step(self) -> None:
        """Look at the next identifiers. The last step fires `made`."""
        order = self.rings.names.ask(STEP)
        if order is None:
            self.call_soon(0, self.step)
            return
        left = STEP
        names = order.starting_at(self.lowest, STEP)
        for name in names:
            if not self.asked.has(name):
                self._end(None)
                return
            if len(self.rows) == self.asked.limit:
                self._end(self.rows[-1].identifier)
                return
            left -= self._look_at(name)
            self.lowest = f"{name}\0"
            if left <= 0:
                break
        self.left -= 1
        if left > 0 and len(names) < STEP:
            self._end(None)
        elif self.left:
            self.call_soon(0, self.step)
        else:
            self._end(self.lowest[:-1])

    def _look_at(self, name: str) -> int:
        """Add an identifier to the page if it belongs there. Returns what was looked at."""
        ring = self.rings.rings[name]
        views = self.registry.views(ring.channel)
        listeners = sum([view.members for view in views])
        if listeners or (ring and not self.listened_only):
            self.rows.append(IdentifierRow(name, listeners, NOTHING if self.listened_only else kept_in(ring)))
        return 1 + len(views)

    def _end(self, following: str | None) -> None:
        self.made.callback(IdentifierPage(tuple(self.rows), following))
