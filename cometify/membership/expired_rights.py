"""Tokens that expire while their listeners are connected. Theory of operation.

At `exp` a listener loses its right to the secret pushes of some identifiers. It goes on with everything else: it joins
again in place, with the rights that are left, and a `ready` frame tells which these are. The `positions` of this frame
are the cursor at which the right ended. The step asks no engine, because its rings are followed already, so it is one
step of the event loop: no secret push can be passed before the `ready` is owed.

Below, `s` is a secret push, `p` a public one, and the token expires at 100.

    pushes               s90      p110  s120  p130       s160
    the right ends            100                                 ready, "secret" is empty, positions = [100]
    goes on                       p110        p130
    (a) comes back from 100                                       a new connection with a new token: p110, s120, p130, s160
    (b) listens again                            150     s160     the same connection with a new token: gap, then s160

(a) A client that stops at the `ready` and comes back from its positions loses nothing.

(b) A client that goes on has a cursor above s120, and cannot get it any longer, because pushes come in the order of their
positions. `Slot.withheld` remembers where the right ended. When the right comes back, a gap tells of the identifiers that
have had a secret push since then, and of no others.

A group may have had its private identifiers only by this token. It goes on without them, and the `ready` says so. If no group
has anything left, the connection ends with `invalid_token`.

A stream ends in order behind its `ready`, because a page cannot send a new token on it. The page comes back from its cursor,
with the token that it has by then. An event stream goes on, because an EventSource would come back with the old token.

A poll ends with its first write, and its next request would be refused because of the same token. So a poll that waits is
answered with `invalid_token` at once. Its cursor stays where it is, and it loses nothing either.
"""

from collections.abc import Callable

from cometify.core import errors
from cometify.core.listener import Listener
from cometify.membership import refusals
from cometify.membership.joining import Joining, Rings
from cometify.membership.slots import SlotTable


class ExpiredRights:
    """`watermark(api_key)`: see `IEngine`. `enter`: see `Membership`. `wall`: the wall clock, in Unix seconds."""

    def __init__(
        self,
        slots: SlotTable,
        watermark: Callable[[str], int],
        enter: Callable[[Joining, Rings], None],
        wall: Callable[[], float],
    ) -> None:
        self._slots = slots
        self._watermark = watermark
        self._enter = enter
        self._wall = wall

    def expire(self, listener: Listener) -> None:
        """Take the rights from a listener that have ended by now."""
        slot, view = self._slots.get(listener), listener.view
        assert slot is not None  # a listener that is gone, or has not joined, is not expected
        assert view is not None
        rings = {ring.channel[1]: ring for ring, _secret in view.sources}
        request = slot.asked
        if listener.encoding.once or request is None:
            listener.end(refusals.token_expired())
            return
        joining = Joining(listener, slot.account, slot.client_key, request, first=True)
        try:
            joining.take_rights_left(slot, self._wall())
        except errors.Refused:
            listener.end(refusals.token_expired())
            return
        wanted = joining.reach(max(self._watermark(slot.account.api_key), view.head)).keys()
        # A listener can have asked for others, whose rings the engine has not given yet.
        if not wanted <= rings.keys():
            listener.end(refusals.token_expired())
            return
        ended_at = {ring.channel[1]: joining.plan.cursor for ring, secret in view.sources if secret}
        slot.withheld = {**ended_at, **slot.withheld}
        self._enter(joining, {name: rings[name] for name in wanted})
        listener.lost_right()
