"""Connections that a back end ends: those of a subject (the `sub` of their token), or those of a listener id.

The connections of a subject are found by an index. Only listeners whose token has a `sub` are in it, so that all others cost
nothing. Listener ids are in no index, because nearly every listener has one. They are searched for: see `ListenerSearch`.
"""

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred, succeed

from cometify.core.group import Subject
from cometify.core.listener import Listener
from cometify.core.revocation import Disconnect
from cometify.membership import refusals
from cometify.membership.listener_search import ListenerSearch, Name
from cometify.membership.slots import Slot, SlotTable
from cometify.runtime.epoll_loop import CallSoon
from cometify.runtime.slices import SlicedWork

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
        self._search = ListenerSearch(slots, call_soon)
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

    def disconnect(
        self, api_key: str, disconnect: Disconnect, issued_before: float, *, at_once: bool = False
    ) -> Deferred[int]:
        """End connections of this node. See `IDisconnect`."""
        if disconnect.subject is None:
            assert disconnect.listener is not None
            return self._disconnect_listener((api_key, disconnect.listener))
        found = self._listeners.get((api_key, disconnect.subject))
        if found is None:
            return succeed(0)
        end = partial(self._end_subject, disconnect.subject, issued_before)
        count = len(found)
        if at_once:
            self._work.serve_all(TASK, found, end)
        else:
            self._work.add(TASK, found, lambda: end, at_once=True)
        return succeed(count)

    def _end_subject(self, subject: str, issued_before: float, listener: Listener) -> None:
        """End a listener, unless it has left since, or has a newer token by now."""
        slot = self._slots.get(listener)
        if slot is None or listener.view is None:
            return
        if any(name == subject and issued < issued_before for name, issued in slot.subjects):
            listener.end(refusals.disconnected())

    def _disconnect_listener(self, name: Name) -> Deferred[int]:
        return self._search.find(name).addCallback(self._end_found, name)

    def _end_found(self, found: list[Listener], name: Name) -> int:
        end = partial(self._end_named, name)
        self._work.add(TASK, found, lambda: end, at_once=True)
        return len(found)

    def _end_named(self, name: Name, listener: Listener) -> None:
        if self._search.is_named(listener, name):
            listener.end(refusals.disconnected())
