"""A listener joins, listens again, leaves. The theory of operation is in the docstring of this folder."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from twisted.internet import defer
from twisted.python.failure import Failure

from cometify.core import errors
from cometify.core.account import Account
from cometify.core.join_pace import JoinPace
from cometify.core.listen_request import ListenRequest
from cometify.core.listener import Listener
from cometify.core.listener_state import Event, State
from cometify.core.quota import BYTES_A_LOOK, Quota
from cometify.core.ring import Channel
from cometify.core.usage import Usage
from cometify.delivery.fanout import FanOut
from cometify.delivery.heartbeats import HeartbeatWheel
from cometify.delivery.registry import Registry
from cometify.delivery.token_expiry import TokenExpiry
from cometify.interfaces import IAccounts, IEngine
from cometify.membership import refusals
from cometify.membership.account_changes import AccountChanges
from cometify.membership.disconnects import Disconnects
from cometify.membership.expired_rights import ExpiredRights
from cometify.membership.joining import Joining, Rings
from cometify.membership.poll_resume import PollResumer
from cometify.membership.slots import Slot, SlotTable
from cometify.membership.stays import Stays
from cometify.runtime.epoll_loop import CallSoon
from cometify.runtime.slices import SlicedWork


class Membership:
    """Lets listeners join and leave. `seconds` is a clock that never goes back.

    `joined` counts the joinings by transport. `refused` counts the listeners that could not join, and `ended` those that
    had joined and were sent away, both by the name of the error code. `draining`: nobody joins any longer. `poll_resumer`:
    the short way for polls that come again. `stays`: how long listeners stay, and their replays.
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
        call_soon: CallSoon,
        join_pace: JoinPace,
        usage: Usage | None = None,
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._usage = usage or Usage()
        self._fan_out = fan_out
        self._heartbeats = heartbeats
        self._token_expiry = expiry
        self._slots = SlotTable(quota, engine.slots, seconds, join_pace)
        self._after: Callable[[], int]
        self._work = SlicedWork(call_soon, Listener.in_words)
        self._disconnects = Disconnects(self._slots, self._work, call_soon, engine.revoked_at)
        engine.watch_disconnects(self._disconnects.disconnect)
        self._account_changes = AccountChanges(self._slots, self._work, self._follow, expiry.wall)
        expiry.watch(ExpiredRights(self._slots, engine.watermark, self._enter, expiry.wall).expire)
        self.draining = False
        self.joined: Counter[str] = Counter()
        self.poll_resumer = PollResumer(
            engine, registry, fan_out, heartbeats, expiry, self._slots, self._disconnects, self.joined
        )
        self.refused: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.stays = Stays()

    def __len__(self) -> int:
        """The number of listeners that have a slot here."""
        return len(self._slots)

    # Joining.

    def join(
        self,
        listener: Listener,
        account: Account,
        address: str,
        request: ListenRequest,
        *,
        first: bool = True,
        replaced: Sequence[ListenRequest] = (),
    ) -> defer.Deferred[None] | None:
        """Let a listener join, or listen again if it has joined already. `first`, `replaced`: see `Joining`.

        Returns None if it has joined. The Deferred fires once it has, and fails with `Refused` otherwise: draining,
        invalid_token, overloaded, too_many_listeners, replaced, engine_unavailable. Whatever the listener had stays then.
        """
        if self.draining:
            return self._refuse_draining(listener)
        joining = Joining(listener, account, (account.api_key, address), request, first, replaced)
        try:
            joining.check_rights(self._token_expiry.wall())
            if joining.subjects:
                self._disconnects.check(account.api_key, joining.subjects)
            self._slots.pace(listener, joining.client_key, request)
            self._slots.charge(joining.client_key, account, request.names)
            slot = self._slots.take(listener, account, joining.client_key, request)
        except errors.Refused:
            return defer.fail()
        return self._slots.waiting_joins.watch(self._follow(joining, slot), joining.client_key)

    def _refuse_draining(self, listener: Listener) -> defer.Deferred[None] | None:
        if self._slots.get(listener) is None:
            return defer.fail(refusals.draining())
        self.send_one_away(listener)  # it would be sent away in a moment anyway
        return None

    def _follow(self, joining: Joining, slot: Slot | None = None) -> defer.Deferred[None] | None:
        """Get the rings. `slot`: the slot that the listener has just taken, which all nodes must count."""
        engine = self._engine
        followed: Rings | defer.Deferred[Rings]
        claimed = self._slots.claim(slot)
        if claimed is None:
            followed = engine.follow(joining.account, joining.reach, joining.secret)
        else:
            followed = claimed.addCallback(lambda _none: engine.follow(joining.account, joining.reach, joining.secret))
        if not isinstance(followed, defer.Deferred):  # callbacks cost a tenth of a joining
            try:
                return self._followed(followed, joining)
            except Exception:  # noqa: BLE001 - a Deferred would have caught it as well
                return defer.fail().addErrback(self._not_followed, joining.listener)
        # No inlineCallbacks: they cost a third of a joining.
        entered: defer.Deferred[None] = followed.addCallback(self._followed, joining)
        return entered.addErrback(self._not_followed, joining.listener)

    def _followed(self, rings: Rings, joining: Joining) -> defer.Deferred[None] | None:
        slot = self._slots.get(joining.listener)
        if joining.listener.state is State.GONE:
            self._unfollow_unless_used(joining)
        elif slot is not None and slot.account is not joining.account and slot.account != joining.account:
            # The account was changed while the rings were read, and a right may be gone. The rings are dropped first,
            # because the new account may refuse the listener.
            self._unfollow_unless_used(joining)
            joining.check_again(slot.account, self._token_expiry.wall())
            return self._follow(joining)
        else:
            if joining.subjects:
                self._check_revoked(joining)
            self._enter(joining, rings)
        return None

    def _check_revoked(self, joining: Joining) -> None:
        """Refuse a token whose subject is revoked. With several nodes that is known only now, with the rings."""
        try:
            self._disconnects.check(joining.account.api_key, joining.subjects)
        except errors.Refused:
            self._unfollow_unless_used(joining)
            raise

    def _not_followed(self, failure: Failure, listener: Listener) -> Failure:
        if listener.view is None:
            self._slots.give_up(listener)
        return failure

    def _enter(self, joining: Joining, rings: Rings) -> None:
        """Put the listener into the view of the channels that it wants, with its backlog. The fan-out then serves it."""
        listener, plan = joining.listener, joining.plan
        backlog = joining.backlog(rings)
        slot = self._slots.get(listener)
        assert slot is not None  # a listener without one is gone
        if slot.withheld:
            backlog.lost |= joining.regained(slot, rings)
        if not plan.settled:
            size = plan.bytes_in(rings)
            self._slots.replayed(joining.client_key, size + BYTES_A_LOOK * plan.pushes_in(rings))
            if joining.first and listener.view is None:
                self.stays.came_back(listener, joining.request, size)
        secret = plan.secret
        if joining.first:
            joining.converge(rings)
            backlog.preamble += joining.ready(self._heartbeats.heartbeat, secret)
        elif plan.warnings:
            # A warning must not answer a poll by itself: a page with a wrong key would then poll without a pause.
            listener.preface(joining.ready(self._heartbeats.heartbeat, secret))
        self._change_view(joining, rings, secret, slot)
        listener.cursor, listener.sent_up_to = plan.cursor, 0
        listener.backlog = backlog
        self._heartbeats.add(listener)
        slot.until = plan.until
        if joining.subjects or slot.subjects:
            slot.subjects = joining.subjects
            self._disconnects.add(listener, slot)
        self._token_expiry.expect(listener, plan.until)
        if listener.state is not State.STALLED:
            self._fan_out.catch_up(listener)

    def _change_view(self, joining: Joining, rings: Rings, secret: list[str], slot: Slot) -> None:
        """Move the listener from its view, if it has one, to the view of the channels that it wants now."""
        listener = joining.listener
        unused: Iterable[Channel] = ()
        if listener.view is None:
            self.joined[listener.encoding.name] += 1
            slot.since = self._heartbeats.ticks
        else:
            unused = self._registry.part(listener, Event.RELISTENED)
        watermark = partial(self._engine.watermark, joining.account.api_key)
        filters = None if joining.plan.settled else joining.plan.filters
        self._registry.enter(listener, rings, secret, watermark, filters)
        # After the new view is entered: a channel that the listener keeps must not be unfollowed.
        self._unfollow(channel for channel in unused if not self._registry.has(channel))

    # Leaving.

    def count_refusal(self, refused: errors.Refused, api_key: str) -> None:
        """Count a listener that could not join, for the server and for its account."""
        self.refused[refused.code.name] += 1
        self._usage.refuse(api_key, refused)

    def count_end(self, listener: Listener, refused: errors.Refused, api_key: str = "") -> None:
        """Count a listener that is about to be told why it gets nothing, or nothing further.

        `api_key`: the one that it came with. May be left out if the listener has a slot.
        """
        if listener.view is not None:
            self.ended[refused.code.name] += 1
            return
        slot = self._slots.get(listener)
        self.count_refusal(refused, api_key if slot is None else slot.account.api_key)

    def part(self, listener: Listener, *, comes_again: bool = False) -> None:
        """Remove a listener. `comes_again`: it polls, so its slot and its place in the heartbeat wheel are kept a while."""
        if not comes_again:
            slot = self._slots.get(listener)
            if slot is not None and listener.view is not None:
                self.stays.left(listener, self._heartbeats.ticks - slot.since)
            self._heartbeats.discard(listener)
        unused = self._registry.part(listener)
        self._token_expiry.discard(listener)
        self._disconnects.discard(listener)
        self._slots.give_up(listener, comes_again)
        if unused:
            self._unfollow(unused)

    def _unfollow_unless_used(self, joining: Joining) -> None:
        channels = [(joining.account.api_key, name) for name in joining.plan.filters]
        self._unfollow(channel for channel in channels if not self._registry.has(channel))

    def _unfollow(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            self._engine.unfollow(channel)

    # Accounts that change.

    def accounts_changed(self, accounts: IAccounts) -> None:
        """Look at the account of every listener, in slices: see `AccountChanges`."""
        self._account_changes.begin(accounts)

    # Draining.

    def close(self, after: Callable[[], int]) -> list[Listener]:
        """Let nobody join any longer. Returns the listeners that have a slot here, and are to be sent away.

        `after`: gives the milliseconds after which the next listener shall come back.
        """
        self.draining = True
        self._after = after
        return self._slots.listeners()

    def listeners(self) -> list[Listener]:
        """The listeners that have a slot here."""
        return self._slots.listeners()

    def send_away(self, listeners: Iterable[Listener], after: Callable[[], int]) -> None:
        """Have some listeners come back, to another node if there is one. They are told in slices. `after`: see `close`."""
        self._work.add("Sending away", listeners, lambda: partial(self._send_away, after), at_once=True)

    @property
    def is_sending_away(self) -> bool:
        """True until `send_away` has reached all listeners that it was given."""
        return self._work.is_busy

    @staticmethod
    def _send_away(after: Callable[[], int], listener: Listener) -> None:
        if listener.state is not State.GONE:
            listener.drain(after())

    def send_one_away(self, listener: Listener) -> None:
        """Have one listener come back now, after `close`."""
        listener.drain(self._after())
