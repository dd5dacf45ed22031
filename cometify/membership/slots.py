"""Who holds which place: the census of this node, and what all nodes count together."""

from collections.abc import Callable, Iterator
from itertools import count
from math import inf

import attrs
from twisted.internet.defer import Deferred

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.group import Ask
from cometify.core.listener import Listener
from cometify.core.quota import ABSENCE, Census, Household
from cometify.interfaces import IPlaces


@attrs.define(eq=False)
class Place:
    """Where a listener is counted, and what must be known to ask again for it when its account changes.

    `named`: by an id of its own, with which it can come again. `until`: when its right to secret pushes ends (Unix
    seconds, or inf).
    """

    account: Account
    household: Household
    listener: str
    named: bool
    keyed: Ask | None = None
    until: float = inf


class Placing:
    """`shared`: what counts over all nodes, if there are several. `seconds`: a clock that never goes back."""

    def __init__(self, census: Census, shared: IPlaces | None, seconds: Callable[[], float]) -> None:
        self._census = census
        self._shared = shared
        self._seconds = seconds
        self._places: dict[Listener, Place] = {}
        self._nameless = count()
        if shared is not None:
            shared.watch(self._moved)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[tuple[Listener, Place]]:
        return iter(list(self._places.items()))

    def get(self, listener: Listener) -> Place | None:
        """The place that a listener has."""
        return self._places.get(listener)

    def charge(self, household: Household, account: Account, identifiers: int) -> None:
        """See `Census.charge`."""
        self._census.charge(household, account, identifiers, self._seconds())

    def replayed(self, household: Household, size: int) -> None:
        """See `Census.replayed`."""
        self._census.replayed(household, size)

    def take(self, listener: Listener, account: Account, address: str, ask: Ask) -> Place | None:
        """The place that a listener has got, None if it had one. Raises `Refused` (too_many_listeners)."""
        place = self._places.get(listener)
        keyed = ask if ask.is_keyed else None
        if place is not None:
            place.keyed = keyed
            return None
        name = ask.listener or self._name(next(self._nameless))
        place = Place(account, (account.api_key, address), name, ask.listener is not None, keyed)
        self.hold(listener, place)
        return place

    def share(self, place: Place | None) -> Deferred[None] | None:
        """Have all nodes count a place that was taken; None if there is nothing to wait for. Fails with `Refused`."""
        if self._shared is None or place is None:
            return None
        return self._shared.take(place.household, place.account, place.listener)

    def has(self, place: Place) -> bool:
        """Whether a place that a poller had is still counted as its own, by all nodes if there are several."""
        return self._shared is None or self._census.has(place.household, place.listener)

    def hold(self, listener: Listener, place: Place) -> None:
        """Let a listener have a place. Raises `Refused` (too_many_listeners, replaced)."""
        before = self._census.take(place.household, place.account, place.listener, listener, self._seconds())
        self._places[listener] = place
        if before is not None:
            _replace(before)
            # Behind the answer to that one its connection may have had another request, which was dealt with at once.
            if not self._census.is_held_by(place.household, place.listener, listener):
                self._places.pop(listener, None)
                raise _replaced()

    def give_up(self, listener: Listener, comes_again: bool = False) -> None:
        """A listener is gone. `comes_again`: it polls, so that its place is kept for a while."""
        place = self._places.pop(listener, None)
        if place is not None:
            until = self._seconds() + ABSENCE if comes_again and place.named else None
            self._census.leave(place.household, place.listener, listener, until)

    def _name(self, number: int) -> str:
        # No id of a client's own has a # in it.
        return f"#{number}" if self._shared is None else self._shared.name(number)

    def _moved(self, household: Household, name: str) -> None:
        """A listener has connected again at another node."""
        _replace(self._census.remove(household, name))


def _replace(before: object) -> None:
    if isinstance(before, Listener):
        before.end(_replaced())


def _replaced() -> errors.Refused:
    return errors.Refused(errors.REPLACED, "The same listener id has connected again: one listener has one connection.")
