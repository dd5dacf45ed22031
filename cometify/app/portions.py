"""Listeners are sent to other nodes in portions, so that each is away for a round trip only."""

import random
from collections.abc import Generator, Sequence
from math import ceil, inf
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater

from cometify.core.listener import Listener
from cometify.membership.membership import Membership
from cometify.runtime.reactor import Reactor

TICK = 0.05
"""Seconds between two portions of listeners."""
SLOWEST = 200
"""Listeners that are sent away each second at least. Joining elsewhere, they take a few hundredths of a core."""


def soon() -> int:
    """Return the milliseconds after which the next listener shall come back."""
    return random.randint(1, round(TICK * 1000))


@inlineCallbacks
def send_in_portions(
    reactor: Reactor, membership: Membership, listeners: Sequence[Listener], seconds: float
) -> Generator["Deferred[Any]", object, None]:
    """Send listeners to other nodes, within so many seconds."""
    began = reactor.seconds()
    pace = max(SLOWEST, len(listeners) / seconds) if seconds > 0 else inf
    sent = 0
    while sent < len(listeners):
        # Reckoned from the beginning, so that a late reactor catches up.
        due = (reactor.seconds() - began + TICK) * pace
        end = len(listeners) if due >= len(listeners) else ceil(due)
        membership.send_away(listeners[sent:end], soon)
        sent = end
        if sent < len(listeners):
            yield deferLater(reactor, TICK)  # type: ignore[arg-type]


class Levelling:
    """Sends listeners away of which other nodes have fewer: see `IEngine.level_with`."""

    def __init__(self, reactor: Reactor, membership: Membership, seconds: float) -> None:
        """`seconds`: the time in which a large number is sent away."""
        self._reactor = reactor
        self._membership = membership
        self._seconds = seconds
        self._is_under_way = False

    def send_away(self, number: int) -> None:
        """Have so many listeners come back. Polls are left out, because each comes again by itself."""
        listeners = [listener for listener in self._membership.listeners() if not listener.encoding.once]
        chosen = random.sample(listeners, min(number, len(listeners)))
        if not self._is_under_way and not self._membership.draining:
            self._is_under_way = True
            sent = send_in_portions(self._reactor, self._membership, chosen, self._seconds)
            sent.addBoth(self._is_over)

    def _is_over(self, result: object) -> object:
        self._is_under_way = False
        return result
