"""The webhooks of all accounts at this node. The theory of operation is in the docstring of this folder."""

from collections.abc import Callable, Iterable, Mapping

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.ring import Channel
from cometify.core.webhook_changes import NodeChanges
from cometify.core.webhook_events import Taken
from cometify.delivery.registry import Registry
from cometify.interfaces import IWebhookEvents
from cometify.runtime.epoll_loop import CallSoon
from cometify.runtime.slices import SlicedWork
from cometify.webhooks.sender import Send, Sender, Totals, WebhookState

log = Logger()

ASK_OTHERS_EVERY = 5.0
"""Seconds between two calls of a node that does not send. They tell that it is alive, and take over from one that is not."""
MOST_REPORTS = 4
"""Reports in one turn of an account."""

Refusals = Callable[[str], Mapping[str, int]]
"""Returns the numbers of refusals of an account at this node, by code. They only grow."""


@attrs.define(eq=False)
class _Watched:
    """An account with a webhook. `refused`: the refusals that were noted. `ask_at`: when to ask for events again."""

    account: Account
    sender: Sender
    changes: NodeChanges = attrs.field(factory=NodeChanges)
    refused: dict[str, int] = attrs.field(factory=dict)
    ask_at: float = 0.0
    is_busy: bool = False


class Webhooks:
    """`refusals`: see `Refusals`. `seconds` is a clock that never goes back, `wall` tells Unix seconds."""

    def __init__(
        self,
        events: IWebhookEvents,
        registry: Registry,
        refusals: Refusals,
        send: Send,
        seconds: Callable[[], float],
        wall: Callable[[], float],
        call_soon: CallSoon,
    ) -> None:
        self._events = events
        self._registry = registry
        self._refusals = refusals
        self._send = send
        self._seconds = seconds
        self._wall = wall
        self.totals = Totals()
        self._watched: dict[str, _Watched] = {}
        self._work: SlicedWork[_Watched] = SlicedWork(call_soon, lambda watched: f"account {watched.account.api_key}")
        self._search: SlicedWork[Channel] = SlicedWork(call_soon, lambda channel: f"account {channel[0]}")

    # The registry's calls.

    def occupied(self, channel: Channel) -> None:
        """The first listener of a channel has come to this node."""
        watched = self._watched.get(channel[0])
        if watched is not None:
            watched.changes.occupied(channel[1])

    def vacated(self, channel: Channel) -> None:
        """The last listener of a channel has left this node."""
        watched = self._watched.get(channel[0])
        if watched is not None:
            watched.changes.vacated(channel[1], self._seconds())

    # Accounts.

    def accounts_changed(self, accounts: Iterable[Account]) -> None:
        """Watch the accounts that have a webhook now, and no others."""
        now = {account.api_key: account for account in accounts if account.webhook is not None}
        for api_key in self._watched.keys() - now.keys():
            self._watched.pop(api_key).sender.stop()
            self._events.forget(api_key)
        new = now.keys() - self._watched.keys()
        for api_key, account in now.items():
            watched = self._watched.get(api_key)
            if watched is None:
                self._watched[api_key] = self._watch(account)
            elif watched.account != account:
                watched.account = account
                watched.sender.change_account(account)
        channels = [channel for channel, _views in self._registry.channels()] if new else []
        if channels:
            self._search.add("Looking for listeners of a new webhook", channels, lambda: self._find)

    def _watch(self, account: Account) -> _Watched:
        # This must not refer to what is returned: in a cycle of references it would stay when the account goes, because
        # the garbage collector does not look at what has lived for long (`runtime/gc_pauses.py`).
        api_key = account.api_key

        def done(number: int, given_up: bool) -> None:
            ended = self._events.done(api_key, number, given_up=given_up)
            ended.addCallback(lambda _none: self._turn_again(api_key))
            ended.addErrback(_failed, api_key)

        sender = Sender(account, self._send, done, self._seconds, self._wall, self.totals)
        return _Watched(account, sender, refused=dict(self._refusals(api_key)))

    def _turn_again(self, api_key: str) -> None:
        watched = self._watched.get(api_key)
        if watched is not None:
            self._turn(watched, at_once=True)

    def _find(self, channel: Channel) -> None:
        """Note a channel that was occupied before its account had a webhook."""
        if self._registry.has(channel):
            self.occupied(channel)

    # Turns.

    def tick(self) -> None:
        """Give each account its turn. To be called once a second."""
        if self._watched and not self._work.is_busy:
            self._work.add("The turn of a webhook", self._watched.values(), lambda: self._turn)

    def stop(self) -> None:
        """End the requests under way."""
        for watched in self._watched.values():
            watched.sender.stop()
        self._watched.clear()

    def states(self) -> list[WebhookState]:
        """Return the state of each account's webhook at this node."""
        return [watched.sender.state for watched in self._watched.values()]

    def _turn(self, watched: _Watched, *, at_once: bool = False) -> None:
        if watched.is_busy or self._watched.get(watched.account.api_key) is not watched:
            return
        watched.is_busy = True
        watched.sender.tell()
        if at_once:
            watched.ask_at = 0.0
        turn = Deferred.fromCoroutine(self._serve(watched))
        turn.addErrback(_failed, watched.account.api_key)

    async def _serve(self, watched: _Watched) -> None:
        try:
            self._note_refusals(watched)
            for _ in range(MOST_REPORTS):
                report = watched.changes.report(self._seconds())
                if report is None:
                    break
                again = watched.changes.again
                is_known = await self._events.report(watched.account.api_key, report, again=again)
                watched.changes.answered(is_known=is_known)
            taken = None
            if self._seconds() >= watched.ask_at:
                taken = await self._events.take(watched.account.api_key)
        finally:
            watched.is_busy = False
        if taken is not None and self._watched.get(watched.account.api_key) is watched:
            self._taken(watched, taken)

    def _note_refusals(self, watched: _Watched) -> None:
        """Note the refusals since the last turn."""
        now = self._refusals(watched.account.api_key)
        new = {code: count - watched.refused.get(code, 0) for code, count in now.items()}
        if any(new.values()):
            watched.changes.refused({code: count for code, count in new.items() if count > 0})
            watched.refused = dict(now)

    def _taken(self, watched: _Watched, taken: Taken) -> None:
        if not taken.is_known and watched.changes.has_reported:
            watched.changes.forgotten()
        self.totals.dropped += taken.dropped
        state = watched.sender.state
        state.sends, state.waiting = taken.sends, taken.waiting
        if not taken.sends:
            watched.ask_at = self._seconds() + ASK_OTHERS_EVERY
        elif taken.batch is not None:
            watched.sender.offer(taken.batch)


def _failed(failure: Failure, api_key: str) -> None:
    """A call to the engine has failed. The next turn makes it again."""
    if not failure.check(Refused):
        log.failure("The webhook of account {api_key} had no turn", failure, api_key=api_key)
