"""Slots: the listeners that each address has, on this node and over all nodes."""

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from math import inf

import attrs
from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.core.group import Subject
from cometify.core.join_pace import JoinPace
from cometify.core.listen_request import ListenRequest
from cometify.core.listener import Listener
from cometify.core.quota import ABSENCE, ClientKey, Quota
from cometify.interfaces import ISlots
from cometify.membership import refusals
from cometify.membership.waiting_joins import WaitingJoins

_NOTHING: Mapping[str, int] = {}


@attrs.define(eq=False)
class Slot:
    """One of the listeners that an address may have.

    `listener`: its id. `named`: the client chose that id, so the listener can come again with it. `asked`: its request, if
    that asks for secret pushes, has several groups, or may ask for private identifiers. It is checked again when the account
    changes. The request of any other listener can be made from its view. `until`: the time at which its right to secret pushes
    ends (Unix seconds, or inf). `subjects`: those of its tokens, of expired ones too. `withheld`: for each identifier whose
    right has ended with a token, the position at which it ended. `since`: the tick of the heartbeat wheel at which its listener
    joined. All that join within a second share this number, so it takes no memory of its own.
    """

    account: Account
    client_key: ClientKey
    listener: str
    named: bool
    asked: ListenRequest | None = None
    until: float = inf
    subjects: tuple[Subject, ...] = ()
    withheld: Mapping[str, int] = _NOTHING
    since: int = 0


class SlotTable:
    """The slots that the listeners of this node hold.

    `quota` counts them for this node. `shared` counts them over all nodes; it is None for a server that is alone. `seconds`
    is a clock that never goes back. `join_pace`: how many new ones come in each second.
    """

    def __init__(self, quota: Quota, shared: ISlots | None, seconds: Callable[[], float], join_pace: JoinPace) -> None:
        self._quota = quota
        self._shared = shared
        self._seconds = seconds
        self._join_pace = join_pace
        self.waiting_joins = WaitingJoins(seconds)
        self._slots: dict[Listener, Slot] = {}
        self._nameless = count()
        if shared is not None:
            shared.watch(self._moved)

    def __len__(self) -> int:
        return len(self._slots)

    def listeners(self) -> list[Listener]:
        """All listeners that hold a slot now."""
        return list(self._slots)

    def get(self, listener: Listener) -> Slot | None:
        """The slot of a listener, or None."""
        return self._slots.get(listener)

    def pace(self, listener: Listener, client_key: ClientKey, request: ListenRequest) -> None:
        """Check the pace of joins, for a listener that has no slot yet. Raises `Refused` (overloaded).

        A listener that listens again does not count, nor does a poller whose slot is still kept.
        """
        name = request.listener
        if listener not in self._slots and (name is None or not self._quota.has(client_key, name)):
            self.waiting_joins.check(client_key)
            self._join_pace.take(self._seconds(), client_key)

    def charge(self, client_key: ClientKey, account: Account, identifiers: Iterable[str]) -> None:
        """See `Quota.charge`."""
        self._quota.charge(client_key, account, identifiers, self._seconds())

    def replayed(self, client_key: ClientKey, size: int) -> None:
        """See `Quota.replayed`."""
        self._quota.replayed(client_key, size)

    def take(self, listener: Listener, account: Account, client_key: ClientKey, request: ListenRequest) -> Slot | None:
        """Give a slot to a listener. Returns the new slot, or None if the listener has one already.

        Raises `Refused`: too_many_listeners, replaced.
        """
        asked = request if request.is_keyed or len(request.groups) > 1 or account.private else None
        slot = self._slots.get(listener)
        if slot is not None:
            # A reload reaches listeners in slices. The account of this request can be newer than the slot's until then.
            slot.account, slot.asked = account, asked
            return None
        name = request.listener or self._name(next(self._nameless))
        slot = Slot(account, client_key, name, request.listener is not None, asked)
        self.hold(listener, slot)
        return slot

    def claim(self, slot: Slot | None) -> Deferred[None] | None:
        """Have all nodes count a new slot. Returns None if nothing must be waited for.

        The Deferred fails with `Refused`: too_many_listeners, engine_unavailable.
        """
        if self._shared is None or slot is None:
            return None
        return self._shared.take(slot.client_key, slot.account, slot.listener)

    def is_kept(self, slot: Slot) -> bool:
        """Return True if a slot that a poller has left still counts as its own, on all nodes if there are several."""
        return self._shared is None or self._quota.has(slot.client_key, slot.listener)

    def hold(self, listener: Listener, slot: Slot) -> None:
        """Give `slot` to a listener, and end the listener that held it. Raises `Refused`: too_many_listeners, replaced."""
        before = self._quota.take(slot.client_key, slot.account, slot.listener, listener, self._seconds())
        self._slots[listener] = slot
        listener.id = slot.listener
        if before is not None:
            _replace(before)
            # Ending the old listener may have processed a pipelined request on its connection, and that request may have
            # taken the slot back.
            if not self._quota.is_held_by(slot.client_key, slot.listener, listener):
                self._slots.pop(listener, None)
                raise refusals.replaced()

    def give_up(self, listener: Listener, comes_again: bool = False) -> None:
        """Take the slot from a listener. `comes_again`: it polls, so its slot is kept for it for `ABSENCE` seconds."""
        slot = self._slots.pop(listener, None)
        if slot is not None:
            until = self._seconds() + ABSENCE if comes_again and slot.named else None
            self._quota.leave(slot.client_key, slot.listener, listener, until)

    def _name(self, number: int) -> str:
        # A client cannot choose an id with a # in it.
        return f"#{number}" if self._shared is None else self._shared.name(number)

    def _moved(self, client_key: ClientKey, name: str) -> None:
        """End a listener here, because a listener with the same id has connected to another node."""
        _replace(self._quota.remove(client_key, name))


def _replace(before: object) -> None:
    if isinstance(before, Listener):
        before.end(refusals.replaced())
