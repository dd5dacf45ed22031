"""The plan of a join: the first cursor of each group, the pushes that it lets through, and the pushes that it may have lost.

A plan is made from a request, the groups' rights and the engine's position. When the engine has the rings, the plan is
compared with them: `lost_in` and `unwanted_in` tell the losses that the listener must be told. One join can have up to 100
rings, so neither of the two looks at every push.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import inf

import attrs

from cometify.core.group import Group, Right
from cometify.core.group_filter import Filters, GroupFilter, filter_on_joining, sees_secret
from cometify.core.identifier import MAX_IDENTIFIERS, MAX_NAMED
from cometify.core.kept_pushes import KeptPushes
from cometify.core.listen_request import ListenRequest
from cometify.core.position import FLOOR_RETENTION, REPLAY_WINDOW, RETENTION
from cometify.core.ring import RingBuffer


@attrs.define(eq=False)
class JoinPlan:
    """One join, of a new listener or of one that has asked again. Identifiers are in lower case."""

    filters: dict[str, tuple[GroupFilter, ...]]
    """For each identifier the filters of the groups that hold it, in the order asked, each once."""
    since: dict[str, int]
    """For each identifier the position above which its pushes are wanted."""
    positions: tuple[int, ...]
    """The first cursor of each group, in the order asked."""
    warnings: tuple[str, ...]
    """Sentences for the `ready` frame."""
    lost: frozenset[str]
    """Identifiers of which a group has certainly lost pushes. The rings need not be asked about them."""
    stale: tuple[tuple[str, GroupFilter], ...]
    """Identifiers that are joined with an internal id above 0 for the first time, each with its filter.

    The page may have been cached for longer than the replay reaches back. Then it has missed pushes without a gap.
    """
    until: float
    """The time at which the first of the identifiers loses the right to its secret pushes (Unix seconds, or inf)."""
    settled: bool = False
    """True if every group begins now. Then there is nothing to filter and nothing can be lost."""

    @property
    def cursor(self) -> int:
        """The position where the listener begins: with the group that begins first."""
        return min(self.positions)

    @property
    def reach(self) -> dict[str, int]:
        """For each identifier the position above which its ring must be complete.

        If the page may be stale, it is the position above which pushes are kept, because `lost_in` looks for pushes that are
        older than the replay.
        """
        if not self.stale:
            return self.since
        kept_from = {name: wanted.since + _KEPT for name, wanted in self.stale}  # the same for all filters of a plan
        return {**self.since, **{name: min(self.since[name], position) for name, position in kept_from.items()}}

    def bytes_in(self, rings: Mapping[str, RingBuffer]) -> int:
        """The most bytes that the replay can have. Secret pushes count only where the listener has a right to them.

        The replay budget is charged with this, among other things. If hidden pushes counted, it would tell how large they are.
        """
        return sum(
            [rings[name].bytes_after(since, sees_secret(self.filters[name])) for name, since in self.since.items()]
        )

    def pushes_in(self, rings: Mapping[str, RingBuffer]) -> int:
        """The pushes that the replay looks at, whether or not they pass a filter. Hidden pushes do not count."""
        return sum(
            [rings[name].count_after(since, sees_secret(self.filters[name])) for name, since in self.since.items()]
        )

    def unwanted_in(self, rings: Mapping[str, RingBuffer]) -> dict[str, tuple[int, int]]:
        """For each identifier the positions (public, secret) up to which a dropped push costs the listener nothing.

        A drop costs nothing if no group asked for anything that old, or if none of the dropped pushes passes a group's filter.
        """
        return {name: _unwanted(filters, rings[name]) for name, filters in self.filters.items()}

    @property
    def secret(self) -> list[str]:
        """The identifiers whose secret pushes the listener will get."""
        return [name for name, filters in self.filters.items() if sees_secret(filters)]

    def lost_in(self, rings: Mapping[str, RingBuffer]) -> set[str]:
        """The identifiers of which a gap must be told: `lost`, and the identifiers of a stale page that has missed pushes.

        A stale page has missed a push that is kept, is older than the replay, and has a push_id above the internal id. A
        push older than the retention does not count. It is still there only because the engine has not dropped it yet.
        """
        lost = set(self.lost)
        # The lowest id of each identifier and right is enough, because all replays of a plan begin at the same position.
        lowest: dict[tuple[str, bool], GroupFilter] = {}
        for name, wanted in self.stale:
            before = lowest.setdefault((name, wanted.secret), wanted)
            if wanted.above < before.above:
                lowest[name, wanted.secret] = wanted
        for (name, secret), wanted in lowest.items():
            if rings[name].highest_push_id(wanted.since + _KEPT, wanted.since, secret) > wanted.above:
                lost.add(name)
        return lost


_KEPT = REPLAY_WINDOW - RETENTION
"""Added to the beginning of a replay, `REPLAY_WINDOW` ago, it gives the position above which pushes are kept."""


def _unwanted(filters: Sequence[GroupFilter], ring: RingBuffer) -> tuple[int, int]:
    since = min([wanted.since for wanted in filters])
    private = [wanted for wanted in filters if wanted.secret]
    secret_since = min([wanted.since for wanted in private], default=since)
    return _first_hurt(filters, ring.public, since), _first_hurt(private, ring.secret, secret_since)


def _first_hurt(filters: Sequence[GroupFilter], kept: KeptPushes, since: int) -> int:
    """The lowest `since` of the groups that may have wanted a dropped push. If none did, `since` or the floor.

    Up to `began` anything may have been dropped. Above it, the highest `push_id` and the position of the last unnumbered
    push that were dropped are known. A group that begins above the floor needs no exception here, because the result is
    compared with the floor later.
    """
    return min(
        [
            wanted.since
            for wanted in filters
            if wanted.since < kept.began
            or wanted.above < kept.dropped_push_id
            or wanted.unnumbered_since < kept.dropped_unnumbered
        ],
        default=max(since, kept.floor),
    )


def make_join_plan(request: ListenRequest, rights: Sequence[Right], now: int, joined: Filters, at: int) -> JoinPlan:
    """Plan a join.

    `rights`: the right of each group. `now`: the engine's position. `joined`: the filters that the listener has already.
    `at`: the listener's cursor. An identifier that is joined already goes on from `at`.
    """
    if not joined and request.begins_now:
        return _plan_from_now(request, rights, now)
    # `found`: the filters of each identifier in the order asked, each once. It is a dictionary, because a frame can name an
    # identifier in hundreds of groups. `gone_on`: where an identifier goes on, by its name and its right.
    found: dict[str, dict[GroupFilter, None]] = {}
    gone_on: dict[tuple[str, bool], int] = {}
    positions: list[int] = []
    lost: set[str] = set()
    stale: list[tuple[str, GroupFilter]] = []
    for group, right in zip(request.groups, rights, strict=True):
        first = now
        for index, name in enumerate(group.names.folded):
            if name in right.left_out:
                continue
            internal_id = None if group.names.internal_ids is None else group.names.internal_ids[index]
            secret = name in right.names
            if name not in joined:
                wanted, is_lost = _begin(internal_id, group.position, secret, now)
                if is_lost:
                    lost.add(name)
                elif internal_id and group.position is None:
                    stale.append((name, wanted))
                found.setdefault(name, {})[wanted] = None
                begins = wanted.since
            elif (name, secret) in gone_on:
                begins = gone_on[name, secret]
            else:
                asked = [wanted.going_on(secret, at) for wanted in joined[name]]
                found.setdefault(name, {}).update(dict.fromkeys(asked))
                begins = gone_on[name, secret] = min([wanted.since for wanted in asked])
            first = min(first, begins)
        positions.append(first)
    filters = {name: tuple(asked) for name, asked in found.items()}
    since = {name: min([wanted.since for wanted in asked]) for name, asked in filters.items()}
    return JoinPlan(
        filters,
        since,
        tuple(positions),
        _warnings(request, rights),
        frozenset(lost),
        tuple(stale),
        _first_loss(rights),
    )


def _plan_from_now(request: ListenRequest, rights: Sequence[Right], now: int) -> JoinPlan:
    """Plan a join that wants future pushes only.

    The plan is the one of `make_join_plan`, and is `settled`. Most joins are of this kind. This way saves a quarter of their
    time.
    """
    filters: dict[str, tuple[GroupFilter, ...]] = {}
    # There are two filters at most: with and without a right to secret pushes.
    with_right: dict[bool, tuple[GroupFilter, ...]] = {}
    is_warned = request.is_keyed
    for group, right in zip(request.groups, rights, strict=True):
        names = group.names.folded
        if right.left_out:
            names, is_warned = group.wanted(right), True
        for name in names:
            secret = name in right.names
            wanted = with_right.get(secret)
            if wanted is None:
                wanted = with_right[secret] = (GroupFilter(secret, -1, now, now),)
            before = filters.setdefault(name, wanted)
            if before is not wanted and wanted[0] not in before:
                filters[name] = before + wanted
    warnings = _warnings(request, rights) if is_warned else ()
    positions = (now,) * len(request.groups)
    return JoinPlan(
        filters, dict.fromkeys(filters, now), positions, warnings, _NOTHING, (), _first_loss(rights), settled=True
    )


_NOTHING: frozenset[str] = frozenset()


def _warnings(request: ListenRequest, rights: Sequence[Right]) -> tuple[str, ...]:
    """A warning for each group whose key or token gives it no right, and for each that joins without an identifier.

    The refused groups have one warning together, which is the first.
    """
    without = [one for one in zip(request.groups, rights, strict=True) if one[1].left_out]
    warnings = [_left_out(right) for group, right in without if not group.is_refused]
    refused = [group.names.spelled for group, _right in without if group.is_refused]
    if refused:
        warnings.insert(0, _too_many(refused))
    if request.is_keyed:
        warnings += [
            _wrong_key(group) if group.token is None else _ended_token(group, right) or _useless_token(group)
            for group, right in zip(request.groups, rights, strict=True)
            if group.is_keyed and not right.names and not group.is_refused
        ]
    return tuple(warnings)


def _first_loss(rights: Iterable[Right]) -> float:
    """The time at which the first identifier loses its right. Each keeps its right until its last group loses it."""
    longest: dict[str, float] = {}
    for right in rights:
        for name in right.names:
            longest[name] = max(right.until, longest.get(name, 0))
    return min(longest.values(), default=inf)


def _begin(internal_id: int | None, position: int | None, right: bool, now: int) -> tuple[GroupFilter, bool]:
    """The filter of an identifier that is joined for the first time, and whether pushes are lost to it for certain.

    They are lost if the position is above the engine's, because no listener can have been given it. They are also lost if
    the position is older than any floor.
    """
    if position is not None and position > now:
        return filter_on_joining(internal_id, now, right, now), True
    wanted = filter_on_joining(internal_id, position, right, now)
    return wanted, wanted.since < now - FLOOR_RETENTION


def _wrong_key(group: Group) -> str:
    names = group.names.spelled
    return (
        f"secureKey does not match {names}: secret pushes will not come. It is md5hex(apiKey + apiSecret + md5hex('{names}')), "
        "over exactly these names in this order."
    )


def _too_many(refused: Sequence[str]) -> str:
    return (
        f"Not joined: {', '.join(refused)}. The groups of a listener together have at most {MAX_IDENTIFIERS} different "
        f"identifiers, and {MAX_NAMED} with each repetition. Leave out others, or listen to these on another connection."
    )


def _left_out(right: Right) -> str:
    names = ", ".join(sorted(right.left_out))
    return f"The group joins without {names}: private, and it needs a secureKey or a token that gives a right to it."


def _ended_token(group: Group, right: Right) -> str:
    """The warning of a group that has lost the right of its token, or nothing."""
    if not right.refusal:
        return ""
    return f"Secret pushes of {group.names.spelled} will no longer come. {right.refusal}"


def _useless_token(group: Group) -> str:
    return (
        f"The token gives no right to any of {group.names.spelled}: secret pushes will not come. Its identifiers must name "
        "them (a trailing * stands for a prefix), and the API secret that signed it must be one of the account's."
    )
