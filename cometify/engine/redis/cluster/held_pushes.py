"""Pushes of an account that has just been handed over, while earlier ones go through the engine of the old master.

They are held back until those are answered, so that pushes of an account keep their order.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from twisted.internet import defer
from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.core.fair_room import FairRoom
from cometify.core.push import Draft, Receipt
from cometify.engine.redis import unavailable
from cometify.engine.redis.connection import MOST_IN_FLIGHT
from cometify.engine.redis.push_queue import MOST_UNANSWERED, PushQueue
from cometify.runtime.reactor import Clock
from cometify.runtime.slices import SlicedWork

LOOK_EVERY = 0.01
"""Seconds between two looks at the earlier pushes. They are answered within two seconds or so."""

_Held: TypeAlias = tuple[Account, Draft, Deferred[Receipt]]


class HeldPushes:
    """`append`: pushes at the new master. `earlier`: the queue at the old master, for each account whose pushes are held."""

    def __init__(self, clock: Clock, append: Callable[[Account, Draft], Deferred[Receipt]]) -> None:
        self._clock = clock
        self._append = append
        self.earlier: dict[str, PushQueue] = {}
        self._held: dict[str, list[_Held]] = {}
        self._count = 0
        self._room = FairRoom(MOST_UNANSWERED)
        self._going_on: SlicedWork[_Held] = SlicedWork(clock.callLater, lambda _held: "a push")

    def hold(self, api_key: str, earlier: PushQueue) -> None:
        """Hold the pushes of an account until this queue is empty."""
        if not (earlier.scripts or earlier.waiting):
            return
        is_held = api_key in self.earlier
        self.earlier[api_key] = earlier
        if not is_held:
            self._look(api_key)

    def append(self, account: Account, draft: Draft) -> Deferred[Receipt]:
        """Push behind those that are held."""
        if self._count >= MOST_IN_FLIGHT or not self._room.take(account.api_key, draft.size):
            return defer.fail(unavailable.overloaded())
        self._count += 1
        receipt: Deferred[Receipt] = Deferred()
        self._held.setdefault(account.api_key, []).append((account, draft, receipt))
        return receipt

    def _look(self, api_key: str) -> None:
        earlier = self.earlier[api_key]
        if earlier.scripts or earlier.waiting:
            self._clock.callLater(LOOK_EVERY, self._look, api_key)
        elif held := self._held.pop(api_key, None):
            # Others can come meanwhile, and are held too.
            self._going_on.add("Pushing", held, lambda: self._push, done=partial(self._look, api_key))
        else:
            del self.earlier[api_key]

    def _push(self, held: _Held) -> None:
        account, draft, receipt = held
        self._count -= 1
        self._room.leave(account.api_key, draft.size)
        self._append(account, draft).chainDeferred(receipt)
