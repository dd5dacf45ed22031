"""Who holds which place: the census of this node, and what all nodes count together."""

from collections.abc import Callable, Iterator
from itertools import count
from math import inf

import attrs
from twisted.internet.defer import Deferred

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.listen_request import ListenRequest
from cometify.core.listener import Listener
from cometify.core.quota import ABSENCE, ClientKey, Quota
from cometify.interfaces import ISlots


@attrs.define(eq=False)
class Slot:
    """Where a listener is counted, and what must be known to ask again for it when its account changes.

    `named`: by an id of its own, with which it can come again. `until`: when its right to secret pushes ends (Unix
    seconds, or inf).
    """

    account: Account
    client_key: ClientKey
    listener: str
    named: bool
    keyed: ListenRequest | None = None
    until: float = inf


class SlotTable:
    """`shared`: what counts over all nodes, if there are several. `seconds`: a clock that never goes back."""

    def __init__(self, quota: Quota, shared: ISlots | None, seconds: Callable[[], float]) -> None:
        self._quota = quota
        self._shared = shared
        self._seconds = seconds
        self._slots: dict[Listener, Slot] = {}
        self._nameless = count()
        if shared is not None:
            shared.watch(self._moved)

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[tuple[Listener, Slot]]:
        return iter(list(self._slots.items()))

    def get(self, listener: Listener) -> Slot | None:
        """The place that a listener has."""
        return self._slots.get(listener)

    def charge(self, client_key: ClientKey, account: Account, identifiers: int) -> None:
        """See `Quota.charge`."""
        self._quota.charge(client_key, account, identifiers, self._seconds())

    def replayed(self, client_key: ClientKey, size: int) -> None:
        """See `Quota.replayed`."""
        self._quota.replayed(client_key, size)

    def take(self, listener: Listener, account: Account, address: str, ask: ListenRequest) -> Slot | None:
        """The place that a listener has got, None if it had one. Raises `Refused` (too_many_listeners)."""
        slot = self._slots.get(listener)
        keyed = ask if ask.is_keyed else None
        if slot is not None:
            slot.keyed = keyed
            return None
        name = ask.listener or self._name(next(self._nameless))
        slot = Slot(account, (account.api_key, address), name, ask.listener is not None, keyed)
        self.hold(listener, slot)
        return slot

    def share(self, slot: Slot | None) -> Deferred[None] | None:
        """Have all nodes count a place that was taken; None if there is nothing to wait for. Fails with `Refused`."""
        if self._shared is None or slot is None:
            return None
        return self._shared.take(slot.client_key, slot.account, slot.listener)

    def has(self, slot: Slot) -> bool:
        """Whether a place that a poller had is still counted as its own, by all nodes if there are several."""
        return self._shared is None or self._quota.has(slot.client_key, slot.listener)

    def hold(self, listener: Listener, slot: Slot) -> None:
        """Let a listener have a place. Raises `Refused` (too_many_listeners, replaced)."""
        before = self._quota.take(slot.client_key, slot.account, slot.listener, listener, self._seconds())
        self._slots[listener] = slot
        if before is not None:
            _replace(before)
            # Behind the answer to that one its connection may have had another request, which was dealt with at once.
            if not self._quota.is_held_by(slot.client_key, slot.listener, listener):
                self._slots.pop(listener, None)
                raise _replaced()

    def give_up(self, listener: Listener, comes_again: bool = False) -> None:
        """A listener is gone. `comes_again`: it polls, so that its place is kept for a while."""
        slot = self._slots.pop(listener, None)
        if slot is not None:
            until = self._seconds() + ABSENCE if comes_again and slot.named else None
            self._quota.leave(slot.client_key, slot.listener, listener, until)

    def _name(self, number: int) -> str:
        # No id of a client's own has a # in it.
        return f"#{number}" if self._shared is None else self._shared.name(number)

    def _moved(self, client_key: ClientKey, name: str) -> None:
        """A listener has connected again at another node."""
        _replace(self._quota.remove(client_key, name))


def _replace(before: object) -> None:
    if isinstance(before, Listener):
        before.end(_replaced())


def _replaced() -> errors.Refused:
    return errors.Refused(errors.REPLACED, "The same listener id has connected again: one listener has one connection.")
