"""Polls that come again: most of them need not join, because the server knows already what is owed to them.

See the theory of operation in the docstring of this folder.
"""

from collections import Counter
from collections.abc import Sequence
from math import inf

import attrs

from cometify.core.account import Account
from cometify.core.listener import Listener
from cometify.core.listener_state import Event
from cometify.core.position import RETENTION
from cometify.core.span import Span
from cometify.core.view import View
from cometify.delivery.fanout import FanOut
from cometify.delivery.heartbeats import HeartbeatWheel
from cometify.delivery.registry import Registry
from cometify.delivery.token_expiry import TokenExpiry
from cometify.interfaces import IEngine
from cometify.membership.disconnects import Disconnects
from cometify.membership.slots import Slot, SlotTable


@attrs.define(eq=False)
class ResumeTicket:
    """Lets a poller wait again without joining. `view`: the view that the poller was in."""

    account: Account
    slot: Slot
    view: View


class PollResumer:
    """`joined` counts the joinings by transport. Each poll counts, also one that comes again."""

    def __init__(
        self,
        engine: IEngine,
        registry: Registry,
        fan_out: FanOut,
        heartbeats: HeartbeatWheel,
        expiry: TokenExpiry,
        slots: SlotTable,
        disconnects: Disconnects,
        joined: Counter[str],
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._fan_out = fan_out
        self._heartbeats = heartbeats
        self._token_expiry = expiry
        self._slots = slots
        self._disconnects = disconnects
        self._joined = joined

    def ticket(self, listener: Listener) -> ResumeTicket | None:
        """The ticket of a listener that has just joined.

        None for a listener that filters by an internal id: its filters depend on the position at which it joins. None also
        for a listener whose token does not end its right: otherwise each poll of everybody would have to look at subjects.
        """
        view = listener.view
        slot = self._slots.get(listener)
        if view is None or slot is None or listener.has_internal_id:
            return None
        if slot.subjects and slot.until == inf:
            return None
        return ResumeTicket(slot.account, slot, view)

    def resume(self, listener: Listener, ticket: ResumeTicket, positions: Sequence[int]) -> bool:
        """Serve a listener that was answered and comes again from `positions`. Returns False if it must join.

        It waits if nothing is owed to it. Otherwise it gets the view's span from that position, which it shares with all
        who come again from there. Nearly all polls come this way. It takes a tenth of the time of a joining. Raises
        `Refused`.
        """
        # A view that all listeners have left is forgotten. There may be a new one of the same key by now.
        view: View | None = ticket.view
        if not ticket.view.members:
            view = self._registry.view(ticket.view.key) or self._raised(ticket.view)
        if view is None or (ticket.slot.until != inf and not self._is_valid(ticket)):
            return False
        ticket.view = view
        if view.late.exist:
            self._fan_out.settle(view)
        position, last = (min(positions), max(positions)) if len(positions) > 1 else (positions[0], positions[0])
        now = max(self._engine.watermark(ticket.account.api_key), view.head)
        if last > now or position <= now - RETENTION:
            return False
        if not self._slots.is_kept(ticket.slot):
            return False  # Its slot was freed meanwhile. It must join, so that all nodes count it again.
        if position < view.head:
            owed = view.span(position) if position == last else None
            if owed is None or ticket.slot.listener in owed.excluded:
                return False
            # An empty span means that the head moved without a push of this view, for example because a ring was lost.
            if owed.size:
                self._give(listener, ticket, owed)
                return True
        return self._wait(listener, ticket, view)

    def _raised(self, view: View) -> View | None:
        """Return a forgotten view with its head raised, or None if its rings are no longer kept complete here.

        If a channel is so busy that each poll is answered at once, nobody ever waits in the view. A joining of each poll would
        take more than twice the time.
        """
        for ring, _secret in view.sources:
            if self._engine.peek(ring.channel) is not ring:
                return None
        newest = view.newest
        if newest > view.head:
            view.rise(newest)
        return view

    def _is_valid(self, ticket: ResumeTicket) -> bool:
        """True if the token of a poller has not expired, and its subject was not revoked."""
        slot = ticket.slot
        if slot.until <= self._token_expiry.wall():
            return False
        return not self._disconnects.is_revoked(ticket.account.api_key, slot.subjects)

    def _wait(self, listener: Listener, ticket: ResumeTicket, view: View) -> bool:
        """Put a listener that is owed nothing into its view. Returns False if it must join."""
        self._slots.hold(listener, ticket.slot)
        # The listener that held the slot until now can have been the last one in the view, which is forgotten then.
        if not view.members:
            self._slots.give_up(listener, comes_again=True)
            return False
        self._joined[listener.encoding.name] += 1
        # Both are left over from the last poll if that was answered while it was behind.
        listener.filters = listener.backlog = None
        self._registry.enter_view(listener, view)
        self._heartbeats.add(listener)
        if ticket.slot.until != inf:
            self._token_expiry.expect(listener, ticket.slot.until)
            self._disconnects.add(listener, ticket.slot)
        listener.go_live(Event.POLLED_AGAIN)
        return True

    def _give(self, listener: Listener, ticket: ResumeTicket, owed: Span) -> None:
        """Answer at once with what is owed."""
        client_key = ticket.slot.client_key
        self._slots.charge(client_key, ticket.account, ())
        self._slots.replayed(client_key, owed.size)
        self._slots.hold(listener, ticket.slot)
        self._joined[listener.encoding.name] += 1
        if not ticket.view.members:
            self._registry.visited(ticket.view)
        self._fan_out.deliver(listener, owed, ticket.view.counts)
