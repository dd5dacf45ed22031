"""The backlog: the things, besides pushes, that a listener must still be sent. `listener` explains the terms."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

import attrs

from cometify.core.filter_front import FilterFront
from cometify.core.frames import gap_frame
from cometify.core.group_filter import Filters
from cometify.core.push import Push
from cometify.core.view import View

FEW_FILTERS = 4
"""Filters of one identifier that are few."""
_NOTHING: Mapping[str, tuple[int, int]] = {}


@attrs.define(eq=False)
class Backlog:
    """The things, besides pushes, that a listener that is not live must still be sent.

    `preamble`: bytes that come before anything else. `lost`: identifiers whose loss must be told. `replaying`: True if a
    heartbeat must end the replay.

    `unwanted` and `told` have two positions for each identifier, one for public and one for secret pushes. A loss at or
    below `unwanted` is not told, because no group wanted those pushes. A loss at or below `told` was told already. Both are
    needed: a second `listen` keeps what was told, but may want more.
    """

    preamble: bytes = b""
    lost: AbstractSet[str] = frozenset()
    unwanted: Mapping[str, tuple[int, int]] = _NOTHING
    told: Mapping[str, tuple[int, int]] = _NOTHING
    replaying: bool = False
    _fronts: tuple[Filters, Mapping[str, FilterFront]] | None = None

    def wants(self, filters: Filters | None, listener_id: str) -> Callable[[Push], bool] | None:
        """Return a function that does the same as `Listener.wants`, and takes no longer with hundreds of filters.

        None if they are few, because to try each is faster then.
        """
        if filters is None or max(map(len, filters.values()), default=0) <= FEW_FILTERS:
            return None
        if self._fronts is None or self._fronts[0] is not filters:  # a token that ends, for example, changes them
            self._fronts = filters, {name: FilterFront(one) for name, one in filters.items()}
        fronts = self._fronts[1]
        return lambda push: push.excluded != listener_id and fronts[push.identifier](push)

    def take_gap(self, view: View, cursor: int) -> bytes:
        """Return an encoded gap frame for the losses above `cursor` that were not told yet, or nothing.

        From now on these losses count as told.
        """
        told = self.told
        lost = self.lost
        for ring, secret in view.sources:
            if ring.lost_since(secret) <= cursor:
                continue
            name = ring.channel[1]
            public_told, secret_told = told.get(name, (0, 0))
            unwanted, secret_unwanted = self.unwanted.get(name, (0, 0))
            floor, secret_floor = ring.public.floor, ring.secret.floor if secret else 0
            if floor > max(cursor, unwanted, public_told) or secret_floor > max(cursor, secret_unwanted, secret_told):
                lost = lost | {name}
                # A listener that may see no secret pushes is not told of their loss. If it may see them later, the loss must
                # still be told.
                told = {**told, name: (max(floor, public_told), max(secret_floor, secret_told))}
        if not lost:
            return b""
        self.lost, self.told = frozenset(), told
        names = [ring.channel[1] for ring, _secret in view.sources if ring.channel[1] in lost]
        return view.encoding.encode(gap_frame(names), None) if names else b""
