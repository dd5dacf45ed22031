"""Pollers that come again: most need not join, for what they were owed is known, and where."""

from collections import Counter
from collections.abc import Sequence
from math import inf

import attrs

from cometify.core.account import KEPT, Account
from cometify.core.listener import Listener
from cometify.core.view import Span, View
from cometify.delivery.fanout import Sweep
from cometify.delivery.heartbeats import Pulse
from cometify.delivery.registry import Registry
from cometify.delivery.token_expiry import Expiry
from cometify.interfaces import IEngine
from cometify.membership.slots import Place, Placing


@attrs.define(eq=False)
class Ticket:
    """What lets a poller that was here go on waiting. `view`: who are owed what it was."""

    account: Account
    place: Place
    view: View


class Returning:
    """`joined`: how many have joined, by transport; who comes again is one of them each time."""

    def __init__(
        self,
        engine: IEngine,
        registry: Registry,
        sweep: Sweep,
        pulse: Pulse,
        expiry: Expiry,
        places: Placing,
        joined: Counter[str],
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._sweep = sweep
        self._pulse = pulse
        self._expiry = expiry
        self._places = places
        self._joined = joined

    def ticket(self, listener: Listener) -> Ticket | None:
        """For a listener that has just joined. What it filters by must be told apart at each joining: then None."""
        view = listener.view
        place = self._places.get(listener)
        if view is None or place is None or listener.strictest >= 0:
            return None
        return Ticket(place.account, place, view)

    def wait_on(self, listener: Listener, ticket: Ticket, positions: Sequence[int]) -> bool:
        """Let a listener that has its answer go on, from the `positions` with which it comes back: it waits if nothing is
        owed to it, and is given what others who come back to there are given. False: it must join.

        This is nearly all of what pollers do, and takes a tenth of a joining. Raises `Refused`.
        """
        # A view that everybody has left is forgotten; there may be another one like it by now.
        view: View | None = ticket.view
        if not ticket.view.members:
            view = self._registry.view(ticket.view.key)
        until = ticket.place.until
        if view is None or (until != inf and until <= self._expiry.wall()):
            return False
        ticket.view = view
        position, last = (min(positions), max(positions)) if len(positions) > 1 else (positions[0], positions[0])
        now = max(self._engine.mark(ticket.account.api_key), view.head)
        if last > now or position <= now - KEPT:
            return False
        if not self._places.has(ticket.place):
            return False  # all nodes must count it again
        if position < view.head:
            owed = view.span(position) if position == last else None
            if owed is None:
                return False
            if owed.size:  # else what came was not for this view
                self._give(listener, ticket, owed)
                return True
        return self._wait(listener, ticket, view)

    def _wait(self, listener: Listener, ticket: Ticket, view: View) -> bool:
        """Put a listener that is owed nothing into its view. False: it must join."""
        self._places.hold(listener, ticket.place)
        if not view.members:  # whoever had the place until now was the last one there: the view is forgotten
            self._places.give_up(listener, comes_again=True)
            return False
        self._joined[listener.form.name] += 1
        listener.filters = listener.arrears = None  # it may have been answered before it was live
        self._registry.wait_on(listener, view)
        self._pulse.add(listener)
        if ticket.place.until != inf:
            self._expiry.expect(listener, ticket.place.until)
        listener.go_live()
        return True

    def _give(self, listener: Listener, ticket: Ticket, owed: Span) -> None:
        household = ticket.place.household
        self._places.charge(household, ticket.account, 0)
        self._places.replayed(household, owed.size)
        self._places.hold(listener, ticket.place)
        self._joined[listener.form.name] += 1
        self._sweep.deliveries += len(owed.ends)
        listener.offer(owed.data)
