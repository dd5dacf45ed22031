"""A listener's arrival and departure: a place in the census, the rings from the engine, a view in the registry."""

from __future__ import annotations  # those of functions within functions are made at each call

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet import defer
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.frames import ready_frame
from cometify.core.group import Right
from cometify.core.group_filter import Filters
from cometify.core.join_plan import JoinPlan, make_join_plan
from cometify.core.listen_request import ListenRequest
from cometify.core.listener import Backlog, Listener
from cometify.core.listener_state import Event, State
from cometify.core.quota import Quota
from cometify.core.ring import Channel, RingBuffer
from cometify.delivery.fanout import FanOut
from cometify.delivery.heartbeats import HeartbeatWheel
from cometify.delivery.registry import Registry
from cometify.delivery.token_expiry import TokenExpiry
from cometify.interfaces import IAccounts, IEngine
from cometify.membership.poll_resume import PollResumer
from cometify.membership.slots import Slot, SlotTable

log = Logger()


class Membership:
    """`seconds`: a clock that never goes back.

    `joined`: how many have joined, by transport. `refused`: how many have asked and were refused, `ended`: how many had
    joined and were sent away, both by the code that they were told. `draining`: nobody joins any more. `poll_resumer`: the
    short way for pollers that were here.
    """

    def __init__(
        self,
        engine: IEngine,
        registry: Registry,
        quota: Quota,
        fan_out: FanOut,
        heartbeats: HeartbeatWheel,
        expiry: TokenExpiry,
        seconds: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._fan_out = fan_out
        self._heartbeats = heartbeats
        self._token_expiry = expiry
        self._slots = SlotTable(quota, engine.slots, seconds)
        self.draining = False
        self.joined: Counter[str] = Counter()
        self.poll_resumer = PollResumer(engine, registry, fan_out, heartbeats, expiry, self._slots, self.joined)
        self.refused: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._slots)

    def join(
        self, listener: Listener, account: Account, address: str, ask: ListenRequest, *, first: bool = True
    ) -> defer.Deferred[None] | None:
        """Let a listener have what it asks for; again, if it has joined already. `first`: it always gets a ready.

        None: it has it. Fails with `Refused`. What the listener had is as it was then.
        """
        try:
            if self.draining:
                raise errors.Refused(errors.DRAINING, "The server is going down: come back in a moment.")  # noqa: TRY301
            wall = self._token_expiry.wall()
            rights = [group.right(account, wall) for group in ask.groups]
            self._charge(account, address, ask)
            slot = self._slots.take(listener, account, address, ask)
        except errors.Refused:
            return defer.fail()
        return self._follow(listener, account, address, ask, rights, first, slot)

    def _follow(
        self,
        listener: Listener,
        account: Account,
        address: str,
        ask: ListenRequest,
        rights: Sequence[Right],
        first: bool,
        slot: Slot | None = None,
    ) -> defer.Deferred[None] | None:
        """`slot`: the one that it has just got, which all nodes must count."""
        plans: list[JoinPlan] = []

        def reach(now: int) -> Mapping[str, int]:
            plans[:] = [make_join_plan(ask, rights, now, *self._joined(listener, now))]
            return plans[0].reach

        followed: Any
        shared: defer.Deferred[Any] | None = self._slots.share(slot)
        if shared is None:
            followed = self._engine.follow(account, reach)
        else:
            followed = shared.addCallback(lambda _none: self._engine.follow(account, reach))
        if not isinstance(followed, defer.Deferred):  # callbacks cost a tenth of a joining
            try:
                return self._followed(followed, listener, account, address, ask, plans, first)
            except Exception:  # noqa: BLE001 - as callbacks have it
                return defer.fail()
        # No inlineCallbacks: these cost a third of a joining.
        return followed.addCallbacks(
            self._followed, self._not_followed, (listener, account, address, ask, plans, first), errbackArgs=(listener,)
        )

    def _followed(
        self,
        rings: Mapping[str, RingBuffer],
        listener: Listener,
        account: Account,
        address: str,
        ask: ListenRequest,
        plans: list[JoinPlan],
        first: bool,
    ) -> defer.Deferred[None] | None:
        slot = self._slots.get(listener)
        if listener.state is State.GONE:
            self._unfollow_what_nobody_has(account.api_key, plans[0].wants)
        elif slot is not None and slot.account != account:  # it has changed meanwhile, and a right may be gone
            self._unfollow_what_nobody_has(account.api_key, plans[0].wants)  # if it is refused now
            wall = self._token_expiry.wall()
            rights = [group.right(slot.account, wall) for group in ask.groups]
            return self._follow(listener, slot.account, address, ask, rights, first)
        else:
            self._enter(listener, account, address, plans[0], rings, first)
        return None

    def _not_followed(self, failure: Failure, listener: Listener) -> Failure:
        if listener.view is None:
            self._slots.give_up(listener)
        return failure

    @staticmethod
    def _joined(listener: Listener, now: int) -> tuple[Mapping[str, Any], int]:
        """What the listener has, and up to which position, for a plan to go on from."""
        view = listener.view
        if view is None:
            return {}, 0
        at = now if listener.state is State.LIVE and listener.cursor >= view.head else listener.reached
        if listener.filters is not None:
            return listener.filters, at
        return {ring.channel[1]: (listener.unfiltered(secret),) for ring, secret in view.sources}, at

    def _enter(
        self,
        listener: Listener,
        account: Account,
        address: str,
        plan: JoinPlan,
        rings: Mapping[str, RingBuffer],
        first: bool,
    ) -> None:
        before = listener.backlog or Backlog()
        backlog = Backlog(replaying=first or not listener.encoding.once)
        if not plan.settled:
            backlog.lost = plan.lost_in(rings) | (before.lost & plan.wants.keys())
            backlog.unwanted = plan.unwanted_in(rings)
            backlog.told = {name: told for name, told in before.told.items() if name in plan.wants}
            size = sum([rings[name].bytes_after(since) for name, since in plan.since.items()])
            self._slots.replayed((account.api_key, address), size)
        seen = plan.secret
        if first or plan.warnings:
            frame = ready_frame(self._heartbeats.heartbeat, seen, plan.warnings, plan.positions)
            ready = listener.encoding.encode(frame, plan.positions[0])
            if first:
                backlog.preamble = before.preamble + ready
            else:
                listener.preface(ready)  # a warning answers no poll: a page with a wrong key would poll without a pause
        self._move(listener, account, rings, None if plan.settled else plan.wants, seen)
        listener.cursor, listener.sent_up_to = plan.cursor, 0
        listener.backlog = backlog
        self._heartbeats.add(listener)
        slot = self._slots.get(listener)
        assert slot is not None
        slot.until = plan.until
        self._token_expiry.expect(listener, plan.until)
        if listener.state is not State.STALLED:
            self._fan_out.catch_up(listener)

    def _move(
        self,
        listener: Listener,
        account: Account,
        rings: Mapping[str, RingBuffer],
        filters: Filters | None,
        seen: Sequence[str],
    ) -> None:
        """From the view that the listener is in, if it is in one, to that in which it is owed what it wants now."""
        alone: Iterable[Channel] = ()
        if listener.view is None:
            self.joined[listener.encoding.name] += 1
        else:
            alone = self._registry.part(listener, Event.RELISTENED)

        def watermark() -> int:
            return self._engine.watermark(account.api_key)

        if filters is None:
            self._registry.enter(listener, rings, seen, watermark)
        else:
            self._registry.join(listener, rings, filters, watermark)
        self._unfollow(channel for channel in alone if not self._registry.has(channel))

    def _charge(self, account: Account, address: str, ask: ListenRequest) -> None:
        follows, api_key = self._engine.follows, account.api_key
        new = [name for name in ask.names if not follows((api_key, name))]
        self._slots.charge((api_key, address), account, len(new))

    def count_end(self, listener: Listener, code: errors.Code) -> None:
        """A listener is about to be told why it gets nothing, or nothing more."""
        (self.refused if listener.view is None else self.ended)[code.name] += 1

    def part(self, listener: Listener, *, comes_again: bool = False) -> None:
        """A listener is gone. `comes_again`: it polls, so that its place is kept for a while, and that in the pulse."""
        alone = self._registry.part(listener)
        if not comes_again:
            self._heartbeats.discard(listener)
        self._token_expiry.discard(listener)
        self._slots.give_up(listener, comes_again)
        if alone:
            self._unfollow(alone)

    def _unfollow_what_nobody_has(self, api_key: str, names: Iterable[str]) -> None:
        channels = [(api_key, name) for name in names]
        self._unfollow(channel for channel in channels if not self._registry.has(channel))

    def _unfollow(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            self._engine.unfollow(channel)

    def accounts_changed(self, accounts: IAccounts) -> None:
        """End the listeners of accounts that are no more, and tell by a new ready whose right to secret pushes has changed."""
        for listener, slot in self._slots:
            account = accounts.get(slot.account.api_key)
            if account is None:
                listener.end(errors.Refused(errors.NOT_AUTHORIZED, "The account of this API key is no more."))
            elif account != slot.account:
                before, slot.account = slot.account, account
                if slot.keyed is not None and listener.view is not None:  # else that is looked at when it joins
                    self._look_at_rights(listener, slot.keyed, before, slot)

    def _look_at_rights(self, listener: Listener, ask: ListenRequest, before: Account, slot: Slot) -> None:
        wall = self._token_expiry.wall()
        rights = [group.right_left(slot.account, wall) for group in ask.groups]
        if rights != [group.right_left(before, wall) for group in ask.groups]:
            again = self._follow(listener, slot.account, slot.client_key[1], ask, rights, first=True)
            if again is not None:
                again.addErrback(self._not_again, listener)

    @staticmethod
    def _not_again(failure: Any, listener: Listener) -> None:
        failure.trap(errors.Refused)
        listener.end(failure.value)

    def drain(self, after: Callable[[], int]) -> None:
        """Let nobody join any more and send everybody away, to come back after so many milliseconds."""
        self.draining = True
        for listener, _slot in self._slots:
            listener.drain(after())
