"""Slots that listeners of this node have given up, and that Redis must free. Those of one turn are freed together.

Tens of thousands of listeners can leave at once, when their network or their balancer goes. A command for each would take this
process and Redis a second, and the pushes of others would wait behind them.
"""

from collections.abc import Collection, Iterable
from functools import partial
from itertools import islice

from cometify.core.quota import ClientKey
from cometify.engine.redis.run_script import RunScript
from cometify.engine.redis.scripts import FREE_SLOTS
from cometify.runtime.epoll_loop import CallSoon

AT_ONCE = 100
"""Slots that are freed in one turn of the event loop. Redis takes 0.3 ms for them."""

SlotKey = tuple[ClientKey, str]
"""((API key, address), listener id)."""


class FreedSlots:
    """`run`: see `RunScript`. `node`: the name of this node. `call_soon`: see `SlicedWork`.

    A slot is unconfirmed until Redis has answered that it is free. If Redis was away, it is told again by a report.
    """

    def __init__(self, run: RunScript, node: str, call_soon: CallSoon) -> None:
        self._run = run
        self._node = node
        self._call_soon = call_soon
        self.unconfirmed: set[SlotKey] = set()
        # The listeners of each address whose slots are not in a command yet. A dict is a set that keeps the order.
        self._waiting: dict[ClientKey, dict[str, None]] = {}
        self._is_due = False

    def free(self, key: SlotKey) -> None:
        """Free a slot soon."""
        client_key, listener = key
        self.unconfirmed.add(key)
        self._waiting.setdefault(client_key, {})[listener] = None
        self._free_soon()

    def keep(self, key: SlotKey) -> None:
        """Do not free a slot that is asked for again. Frees others of its address now, because it may need their room."""
        client_key, listener = key
        self.unconfirmed.discard(key)
        listeners = self._waiting.get(client_key)
        if listeners is not None:
            listeners.pop(listener, None)
            self._run_for(self._take([client_key], AT_ONCE))

    def give_away(self, api_keys: Collection[str]) -> list[SlotKey]:
        """Forget the slots of accounts that are at another Redis now. Returns those that are not confirmed."""
        given = [key for key in self.unconfirmed if key[0][0] in api_keys]
        self.unconfirmed.difference_update(given)
        for client_key in [client_key for client_key in self._waiting if client_key[0] in api_keys]:
            del self._waiting[client_key]
        return given

    def free_all(self) -> None:
        """Free all slots now, because the session with Redis is about to end."""
        while self._waiting:
            self._run_for(self._take(list(islice(self._waiting, AT_ONCE)), AT_ONCE))

    def _free_soon(self) -> None:
        if self._waiting and not self._is_due:
            self._is_due = True
            self._call_soon(0, self._free_some)

    def _free_some(self) -> None:
        self._is_due = False
        self._run_for(self._take(list(islice(self._waiting, AT_ONCE)), AT_ONCE))
        self._free_soon()

    def _take(self, client_keys: Iterable[ClientKey], most: int) -> dict[str, list[SlotKey]]:
        """Take up to `most` slots of these addresses out of those that wait. Returns them by API key."""
        taken: dict[str, list[SlotKey]] = {}
        for client_key in client_keys:
            listeners = self._waiting[client_key]
            for listener in list(islice(listeners, most)):
                del listeners[listener]
                taken.setdefault(client_key[0], []).append((client_key, listener))
                most -= 1
            if not listeners:
                del self._waiting[client_key]
        return taken

    def _run_for(self, taken: dict[str, list[SlotKey]]) -> None:
        for api_key, keys in taken.items():
            places = [part for (_key, address), listener in keys for part in (address, listener)]
            answered = self._run(FREE_SLOTS, api_key, self._node, *places)
            if answered is not None:
                # After a failure the slots stay unconfirmed, and the next report frees them.
                answered.addCallbacks(partial(self._confirmed, keys), lambda _failure: None)

    def _confirmed(self, keys: list[SlotKey], _answer: None) -> None:
        for client_key, listener in keys:
            if listener not in self._waiting.get(client_key, ()):  # else it was held again, and given up again
                self.unconfirmed.discard((client_key, listener))
