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
from cometify.core.group import Ask, Right
from cometify.core.join_plan import Filters, Plan, make_plan
from cometify.core.listener import Arrears, Listener, State
from cometify.core.quota import Census
from cometify.core.ring import Channel, RingBuffer
from cometify.delivery.fanout import Sweep
from cometify.delivery.heartbeats import Pulse
from cometify.delivery.registry import Registry
from cometify.delivery.token_expiry import Expiry
from cometify.interfaces import IAccounts, IEngine
from cometify.membership.poll_resume import Returning
from cometify.membership.slots import Place, Placing

log = Logger()


class Joining:
    """`seconds`: a clock that never goes back.

    `joined`: how many have joined, by transport. `refused`: how many have asked and were refused, `ended`: how many had
    joined and were sent away, both by the code that they were told. `draining`: nobody joins any more. `returning`: the
    short way for pollers that were here.
    """

    def __init__(
        self,
        engine: IEngine,
        registry: Registry,
        census: Census,
        sweep: Sweep,
        pulse: Pulse,
        expiry: Expiry,
        seconds: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._sweep = sweep
        self._pulse = pulse
        self._expiry = expiry
        self._places = Placing(census, engine.places, seconds)
        self.draining = False
        self.joined: Counter[str] = Counter()
        self.returning = Returning(engine, registry, sweep, pulse, expiry, self._places, self.joined)
        self.refused: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._places)

    def join(
        self, listener: Listener, account: Account, address: str, ask: Ask, *, first: bool = True
    ) -> defer.Deferred[None] | None:
        """Let a listener have what it asks for; again, if it has joined already. `first`: it always gets a ready.

        None: it has it. Fails with `Refused`. What the listener had is as it was then.
        """
        try:
            if self.draining:
                raise errors.Refused(errors.DRAINING, "The server is going down: come back in a moment.")  # noqa: TRY301
            wall = self._expiry.wall()
            rights = [group.right(account, wall) for group in ask.groups]
            self._charge(account, address, ask)
            place = self._places.take(listener, account, address, ask)
        except errors.Refused:
            return defer.fail()
        return self._follow(listener, account, address, ask, rights, first, place)

    def _follow(
        self,
        listener: Listener,
        account: Account,
        address: str,
        ask: Ask,
        rights: Sequence[Right],
        first: bool,
        place: Place | None = None,
    ) -> defer.Deferred[None] | None:
        """`place`: the one that it has just got, which all nodes must count."""
        plans: list[Plan] = []

        def reach(now: int) -> Mapping[str, int]:
            plans[:] = [make_plan(ask, rights, now, *self._joined(listener, now))]
            return plans[0].reach

        followed: Any
        shared: defer.Deferred[Any] | None = self._places.share(place)
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
        ask: Ask,
        plans: list[Plan],
        first: bool,
    ) -> defer.Deferred[None] | None:
        place = self._places.get(listener)
        if listener.state is State.GONE:
            self._unfollow_what_nobody_has(account.api_key, plans[0].wants)
        elif place is not None and place.account != account:  # it has changed meanwhile, and a right may be gone
            self._unfollow_what_nobody_has(account.api_key, plans[0].wants)  # if it is refused now
            wall = self._expiry.wall()
            rights = [group.right(place.account, wall) for group in ask.groups]
            return self._follow(listener, place.account, address, ask, rights, first)
        else:
            self._enter(listener, account, address, plans[0], rings, first)
        return None

    def _not_followed(self, failure: Failure, listener: Listener) -> Failure:
        if listener.view is None:
            self._places.give_up(listener)
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
        plan: Plan,
        rings: Mapping[str, RingBuffer],
        first: bool,
    ) -> None:
        before = listener.arrears or Arrears()
        arrears = Arrears(replaying=first or not listener.form.once)
        if not plan.settled:
            arrears.lost = plan.lost_in(rings) | (before.lost & plan.wants.keys())
            arrears.unwanted = plan.unwanted_in(rings)
            arrears.told = {name: told for name, told in before.told.items() if name in plan.wants}
            size = sum([rings[name].bytes_after(since) for name, since in plan.since.items()])
            self._places.replayed((account.api_key, address), size)
        seen = plan.secret
        if first or plan.warnings:
            frame = ready_frame(self._pulse.heartbeat, seen, plan.warnings, plan.positions)
            ready = listener.form.encode(frame, plan.positions[0])
            if first:
                arrears.greeting = before.greeting + ready
            else:
                listener.preface(ready)  # a warning answers no poll: a page with a wrong key would poll without a pause
        self._move(listener, account, rings, None if plan.settled else plan.wants, seen)
        listener.cursor, listener.past = plan.cursor, 0
        listener.arrears = arrears
        self._pulse.add(listener)
        place = self._places.get(listener)
        assert place is not None
        place.until = plan.until
        self._expiry.expect(listener, plan.until)
        if listener.state is not State.STALLED:
            self._sweep.bring(listener)

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
            self.joined[listener.form.name] += 1
        else:
            alone = self._registry.part(listener, listener.state)

        def mark() -> int:
            return self._engine.mark(account.api_key)

        if filters is None:
            self._registry.enter(listener, rings, seen, mark)
        else:
            self._registry.join(listener, rings, filters, mark)
        self._unfollow(channel for channel in alone if not self._registry.has(channel))

    def _charge(self, account: Account, address: str, ask: Ask) -> None:
        follows, api_key = self._engine.follows, account.api_key
        new = [name for name in ask.names if not follows((api_key, name))]
        self._places.charge((api_key, address), account, len(new))

    def count_end(self, listener: Listener, code: errors.Code) -> None:
        """A listener is about to be told why it gets nothing, or nothing more."""
        (self.refused if listener.view is None else self.ended)[code.name] += 1

    def part(self, listener: Listener, *, comes_again: bool = False) -> None:
        """A listener is gone. `comes_again`: it polls, so that its place is kept for a while, and that in the pulse."""
        alone = self._registry.part(listener)
        listener.state = State.GONE
        if not comes_again:
            self._pulse.discard(listener)
        self._expiry.discard(listener)
        self._places.give_up(listener, comes_again)
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
        for listener, place in self._places:
            account = accounts.get(place.account.api_key)
            if account is None:
                listener.end(errors.Refused(errors.NOT_AUTHORIZED, "The account of this API key is no more."))
            elif account != place.account:
                before, place.account = place.account, account
                if place.keyed is not None and listener.view is not None:  # else that is looked at when it joins
                    self._look_at_rights(listener, place.keyed, before, place)

    def _look_at_rights(self, listener: Listener, ask: Ask, before: Account, place: Place) -> None:
        wall = self._expiry.wall()
        rights = [group.right_left(place.account, wall) for group in ask.groups]
        if rights != [group.right_left(before, wall) for group in ask.groups]:
            again = self._follow(listener, place.account, place.household[1], ask, rights, first=True)
            if again is not None:
                again.addErrback(self._not_again, listener)

    @staticmethod
    def _not_again(failure: Any, listener: Listener) -> None:
        failure.trap(errors.Refused)
        listener.end(failure.value)

    def drain(self, after: Callable[[], int]) -> None:
        """Let nobody join any more and send everybody away, to come back after so many milliseconds."""
        self.draining = True
        for listener, _place in self._places:
            listener.drain(after())
