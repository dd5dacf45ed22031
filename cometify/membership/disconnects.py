"""Connections that a back end ends: those of a subject (the `sub` of their token), or those of a listener id.

The connections of a subject are found by an index. Only listeners whose token has a `sub` are in it, so that all others cost
nothing. Listener ids are in no index, because nearly every listener has one. So all slots are looked through, some in each
turn of the event loop.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice

from twisted.internet.defer import Deferred, succeed

from cometify.core.group import Subject
from cometify.core.listener import Listener
from cometify.core.revocation import Disconnect
from cometify.membership import refusals
from cometify.membership.slots import Slot, SlotTable
from cometify.runtime.epoll_loop import CallSoon
from cometify.runtime.slices import SlicedWork

SEARCH = 2000
"""Slots that are looked at in one turn, at about 0.15 us each."""

TASK = "Disconnecting"


class Disconnects:
    """`work`: ends listeners in slices. `call_soon`: see `SlicedWork`. `revoked_at`: see `IEngine`."""

    def __init__(
        self,
        slots: SlotTable,
        work: SlicedWork[Listener],
        call_soon: CallSoon,
        revoked_at: Callable[[str, str], float],
    ) -> None:
        self._slots = slots
        self._work = work
        self._call_soon = call_soon
        self._revoked_at = revoked_at
        self._listeners: dict[tuple[str, str], dict[Listener, None]] = {}
        self._keys: dict[Listener, tuple[tuple[str, str], ...]] = {}

    def __len__(self) -> int:
        """The number of listeners in the index."""
        return len(self._keys)

    # The rights of joining listeners.

    def is_revoked(self, api_key: str, subjects: tuple[Subject, ...]) -> bool:
        """True if one of these subjects was revoked after its token was issued."""
        revoked_at = self._revoked_at
        return any(issued < revoked_at(api_key, name) for name, issued in subjects)

    def check(self, api_key: str, subjects: tuple[Subject, ...]) -> None:
        """Refuse a listener with a token that was revoked. Raises `Refused` (invalid_token)."""
        if self.is_revoked(api_key, subjects):
            raise refusals.token_revoked()

    # The index.

    def add(self, listener: Listener, slot: Slot) -> None:
        """Put a listener into the index, by the subjects of its slot. It leaves the entries that it had before."""
        self.discard(listener)
        if slot.subjects:
            keys = tuple({(slot.account.api_key, name) for name, _issued in slot.subjects})
            self._keys[listener] = keys
            for key in keys:
                self._listeners.setdefault(key, {})[listener] = None

    def discard(self, listener: Listener) -> None:
        """Forget a listener that is gone."""
        for key in self._keys.pop(listener, ()):
            found = self._listeners[key]
            del found[listener]
            if not found:
                del self._listeners[key]

    # The end.

    def disconnect(self, api_key: str, disconnect: Disconnect, issued_before: float) -> Deferred[int]:
        """End connections of this node. See `IDisconnect`."""
        if disconnect.subject is None:
            assert disconnect.listener is not None
            return self._disconnect_listener(api_key, disconnect.listener)
        found = self._listeners.get((api_key, disconnect.subject))
        if found is None:
            return succeed(0)
        end = partial(self._end_subject, disconnect.subject, issued_before)
        count = len(found)
        self._work.add(TASK, found, lambda: end, at_once=True)
        return succeed(count)

    def _end_subject(self, subject: str, issued_before: float, listener: Listener) -> None:
        """End a listener, unless it has left since, or has a newer token by now."""
        slot = self._slots.get(listener)
        if slot is None or listener.view is None:
            return
        if any(name == subject and issued < issued_before for name, issued in slot.subjects):
            listener.end(refusals.disconnected())

    def _disconnect_listener(self, api_key: str, name: str) -> Deferred[int]:
        counted: Deferred[int] = Deferred()
        everybody = iter(self._slots.listeners())
        found: list[Listener] = []

        def is_meant(listener: Listener) -> bool:
            slot = self._slots.get(listener)
            # A listener without a view is still joining, so nobody can know of it yet.
            if slot is None or listener.view is None:
                return False
            return slot.listener == name and slot.account.api_key == api_key

        def end(listener: Listener) -> None:
            if is_meant(listener):
                listener.end(refusals.disconnected())

        def search() -> None:
            looked_at = 0
            for listener in islice(everybody, SEARCH):
                looked_at += 1
                if is_meant(listener):
                    found.append(listener)
            if looked_at == SEARCH:
                self._call_soon(0, search)
                return
            self._work.add(TASK, found, lambda: end, at_once=True)
            counted.callback(len(found))

        search()
        return counted
