"""The search for listeners by the id that a client has chosen. All slots of the node are looked through, some in each turn.

Several requests can ask at the same time, of any accounts. A search of its own for each would look through the slots once for
each request in every turn, and would hold a copy of the list of all listeners for each. So one search looks for many ids, and
requests that come meanwhile wait for the next one.
"""

from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import TypeAlias

from twisted.internet.defer import Deferred

from cometify.core.listener import Listener
from cometify.membership.slots import SlotTable
from cometify.runtime.epoll_loop import CallSoon

SEARCH = 2000
"""Slots that are looked at in one turn, at about 0.25 us each."""
TOGETHER = 50
"""The most requests of one search. They are answered in one turn."""

Name: TypeAlias = tuple[str, str]
"""An API key and a listener id."""
_Asked: TypeAlias = list[tuple[Name, "Deferred[list[Listener]]"]]


class ListenerSearch:
    """`call_soon(0, function)` makes a call in the next turn of the event loop."""

    def __init__(self, slots: SlotTable, call_soon: CallSoon) -> None:
        self._slots = slots
        self._call_soon = call_soon
        self._asked: deque[tuple[Name, Deferred[list[Listener]]]] = deque()
        self._is_searching = False

    def find(self, name: Name) -> Deferred[list[Listener]]:
        """The joined listeners with this name. The Deferred has fired already if there are few listeners."""
        found: Deferred[list[Listener]] = Deferred()
        self._asked.append((name, found))
        if not self._is_searching:
            self._is_searching = True
            self._begin()
        return found

    def is_named(self, listener: Listener, name: Name) -> bool:
        """True if a listener has joined with this name, and has not left since."""
        return self._name_of(listener) == name

    def _name_of(self, listener: Listener) -> Name | None:
        """The name of a listener. None if it has left, or is still joining, so that nobody can know of it yet."""
        slot = self._slots.get(listener)
        return None if slot is None or listener.view is None else (slot.account.api_key, slot.listener)

    def _begin(self) -> None:
        asked = [self._asked.popleft() for _ in range(min(len(self._asked), TOGETHER))]
        found: dict[Name, list[Listener]] = {name: [] for name, _answer in asked}
        self._search(asked, found, iter(self._slots.listeners()))

    def _search(self, asked: _Asked, found: dict[Name, list[Listener]], everybody: Iterator[Listener]) -> None:
        looked_at = 0
        for listener in islice(everybody, SEARCH):
            looked_at += 1
            name = self._name_of(listener)
            if name is not None and name in found:
                found[name].append(listener)
        if looked_at == SEARCH:
            self._call_soon(0, partial(self._search, asked, found, everybody))
            return
        # An answer can bring the next request of its connection, which waits for the next search.
        for name, answer in asked:
            answer.callback(found[name])
        self._is_searching = bool(self._asked)
        if self._is_searching:
            self._call_soon(0, self._begin)
