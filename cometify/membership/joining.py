"""One joining: the request of a listener, and everything that is found out about it on its way in."""

from collections.abc import Collection, Mapping, Sequence

from cometify.core.account import Account
from cometify.core.account_rules import check_names
from cometify.core.backlog import Backlog
from cometify.core.frames import ready_frame
from cometify.core.group import Group, Right, Subject
from cometify.core.group_filter import Filters
from cometify.core.join_plan import JoinPlan, make_join_plan
from cometify.core.listen_request import ListenRequest
from cometify.core.listener import Listener
from cometify.core.listener_state import State
from cometify.core.position import edge_position
from cometify.core.quota import ClientKey
from cometify.core.ring import RingBuffer
from cometify.membership import refusals
from cometify.membership.slots import Slot

Rings = Mapping[str, RingBuffer]
"""The ring of each identifier (lower case)."""


class Joining:
    """A listener, its request, and the plan that both make.

    `first` is False only for a poll that resumes. It gets no `ready` frame, because that would answer it at once.
    `replaced`: earlier requests that have had no answer, because this one has replaced them. Each gets its `ready` now. They
    join nothing, and end what they leave out. See `transports.listen_pace`.
    """

    __slots__ = ("account", "client_key", "first", "listener", "plan", "replaced", "request", "rights", "subjects")

    def __init__(
        self,
        listener: Listener,
        account: Account,
        client_key: ClientKey,
        request: ListenRequest,
        first: bool,
        replaced: Sequence[ListenRequest] = (),
    ) -> None:
        self.listener = listener
        self.account = account
        self.client_key = client_key
        self.request = request
        self.first = first
        self.replaced = replaced
        self.rights: list[Right] = []
        self.subjects: tuple[Subject, ...] = ()
        self.plan: JoinPlan

    def check_rights(self, now: float) -> None:
        """Find out the rights of all groups. `now`: Unix seconds. Raises `Refused`: invalid_token, not_authorized."""
        account = self.account
        self.take_rights([group.right(account, now) for group in self.request.groups])

    def check_again(self, account: Account, now: float) -> None:
        """Check the request again, because its account was changed meanwhile. Raises `Refused`."""
        self.account = account
        check_names(account, self.request.names)
        self.check_rights(now)

    def take_rights(self, rights: list[Right]) -> None:
        """Join with these rights, one for each group. Raises `Refused` (not_authorized) if they leave nothing to join."""
        self.rights = rights
        if self.account.private and not any(map(Group.wanted, self.request.groups, rights)):
            raise refusals.all_private(self.request.names)
        if self.request.is_keyed:
            self.subjects = tuple([right.subject for right in rights if right.subject is not None])

    def take_rights_left(self, slot: Slot, now: float) -> None:
        """Join again in place with the rights that are left by now (Unix seconds). Raises like `take_rights`.

        The subjects stay as they were. The connection is still that of the visitor to whom the tokens were given, so a
        back end can disconnect it when a token has expired too.
        """
        self.take_rights([group.right_left(slot.account, now) for group in self.request.groups])
        self.subjects = slot.subjects

    @property
    def has_left_out(self) -> bool:
        """True if a group joins without one of its identifiers."""
        return any(right.left_out for right in self.rights)

    @property
    def secret(self) -> Collection[str]:
        """The identifiers (lower case) of which it has a right to secret pushes."""
        if len(self.rights) == 1:
            return self.rights[0].names
        return frozenset().union(*[right.names for right in self.rights])

    def reach(self, position: int) -> Mapping[str, int]:
        """Make the plan as of a position of the engine. Returns the position from which each ring must be complete.

        The engine calls this, because only the engine knows the position at which the rings are complete. It may call
        twice: the last plan counts.
        """
        joined, at = _subscription(self.listener, position)
        if self.replaced:
            stays = self._stays()
            joined = {name: filters for name, filters in joined.items() if name in stays}
        self.plan = make_join_plan(self.request, self.rights, position, joined, at)
        if self.listener.encoding.converges and self.plan.settled:
            # The rings must tell the newest push of this step: see `converge`.
            return dict.fromkeys(self.plan.filters, edge_position(position, 0))
        return self.plan.reach

    def _stays(self) -> frozenset[str]:
        """The identifiers that every replaced request names."""
        first, *others = [frozenset(request.names) for request in self.replaced]
        return first.intersection(*others)

    def backlog(self, rings: Rings) -> Backlog:
        """The backlog of the listener once it has joined.

        A listener that listens again keeps `told` for the identifiers that it still wants: a gap is reported once. It
        keeps the losses that are not reported yet as well. `unwanted` starts again, because it may want more than before.
        """
        plan, before = self.plan, self.listener.backlog or _NO_BACKLOG
        backlog = Backlog(replaying=self.first or not self.listener.encoding.once)
        if not plan.settled:
            backlog.lost = plan.lost_in(rings) | (before.lost & plan.filters.keys())
            backlog.unwanted = plan.unwanted_in(rings)
            backlog.told = {name: told for name, told in before.told.items() if name in plan.filters}
        if self.first:
            backlog.preamble = before.preamble
        return backlog

    def regained(self, slot: Slot, rings: Rings) -> set[str]:
        """The identifiers whose right had ended with a token, comes back now, and was missed by a secret push in between.

        `slot` keeps those that the listener still wants and has no right to.
        """
        seen = set(self.plan.secret)
        missed = {
            name
            for name, position in slot.withheld.items()
            if name in seen and (rings[name].secret.floor > position or rings[name].secret.has_above(position))
        }
        slot.withheld = {name: at for name, at in slot.withheld.items() if name in rings and name not in seen}
        return missed

    def converge(self, rings: Rings) -> None:
        """Begin where others of the edge begin too, instead of now, if nothing was pushed in between."""
        plan = self.plan
        if self.listener.encoding.converges and plan.settled:
            head = max([ring.newest(name in self.secret) for name, ring in rings.items()])
            plan.positions = tuple([edge_position(position, head) for position in plan.positions])

    def ready(self, heartbeat: int, secret: list[str]) -> bytes:
        """The encoded `ready` frame. `heartbeat`: seconds between two. `secret`: identifiers with their secret pushes.

        The frames of replaced requests come before it. Their warnings are left out, because they asked for nothing that is
        in force.
        """
        plan, encode = self.plan, self.listener.encoding.encode
        refused = self.request.refused if plan.warnings else ()  # a refusal always comes with a warning
        ready = encode(ready_frame(heartbeat, secret, plan.warnings, plan.positions, refused), plan.positions[0])
        if not self.replaced:
            return ready
        latest = max(plan.positions)
        earlier = [self._positions_of(request, latest) for request in self.replaced]
        frames = [encode(ready_frame(heartbeat, secret, (), positions), positions[0]) for positions in earlier]
        return b"".join([*frames, ready])

    def _positions_of(self, request: ListenRequest, latest: int) -> list[int]:
        """The first cursor of each group of a replaced request: where its identifiers begin, if they are in force.

        `latest`: the cursor of a group of which none is.
        """
        since = self.plan.since
        return [
            min([since[name] for name in group.names.folded if name in since], default=latest)
            for group in request.groups
        ]


_NO_BACKLOG = Backlog()


def _subscription(listener: Listener, position: int) -> tuple[Filters, int]:
    """The filters before this joining, and the position that the listener has reached with them.

    A live listener at the head has everything up to `position`, although its cursor is only the position of the last push.
    """
    view = listener.view
    if view is None:
        return {}, 0
    is_at_head = listener.state is State.LIVE and listener.cursor >= view.head and not view.is_late
    at = position if is_at_head else listener.reached
    if listener.filters is not None:
        return listener.filters, at
    return {ring.channel[1]: (listener.unfiltered(secret),) for ring, secret in view.sources}, at
