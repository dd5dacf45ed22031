"""The slots of an address's listeners, counted over all nodes: see `ISlots`.

Redis holds, for each address, which listener has a slot at which node and since when. This node remembers the slots of
its own listeners, because Redis can forget them (it was emptied, or has gone back in time) and must be told again then.
"""

from collections.abc import Callable, Collection
from functools import partial

import attrs
from twisted.internet.defer import Deferred, succeed

from cometify.core import quota
from cometify.core.account import Account
from cometify.core.quota import ClientKey
from cometify.engine.redis.freed_slots import FreedSlots, SlotKey
from cometify.engine.redis.messages import read_array
from cometify.engine.redis.run_script import RunScript
from cometify.engine.redis.scripts import TAKE_SLOT
from cometify.runtime.reactor import CallLater
from cometify.runtime.slices import SlicedWork

REPORT_EVERY = 900.0
"""Seconds after which a node reports its slots again. Redis forgets them after an hour."""

_MOVED = (str, str, str, (int, float, str))
"""The shape of the message of take_slot.lua: API key, address, listener and time."""
SURE_AFTER = 0.3
"""Seconds after which a node asks whether a listener that has moved is still at the other node. That node may have been busy,
and may have read the request of a connection that the listener had given up to come here. Then it soon frees the slot."""
REPORTED = 50
"""Slots that are reported in one turn of the event loop, at about 20 us each."""


@attrs.define(eq=False)
class _Holding:
    """A slot of a listener of this node. Times are those of Redis, in microseconds.

    `since`: when the slot was taken here, 0 if Redis has not said so yet. `elsewhere`: when the listener last took the
    slot at another node. `unanswered`: commands about this slot that Redis has not answered yet. The two times cannot
    be compared before it has, because an answer can make `since` the later one.
    """

    unanswered: int = 0
    since: int = 0
    elsewhere: int = 0


SlotsOfAccounts = tuple[dict[SlotKey, _Holding], list[SlotKey]]
"""The slots that are held, and those that were given up, of which Redis has not confirmed that they are free."""


class RedisSlots:
    """`run`: see `RunScript`. `wait()`: a Deferred while Redis has not been there yet, else None.

    `node`: the name of this node. `node_prefix`: the beginning of the names of all nodes' own channels. `call_later`:
    reactor.callLater.
    """

    def __init__(
        self,
        run: RunScript,
        wait: Callable[[], Deferred[None] | None],
        node: str,
        node_prefix: str,
        call_later: CallLater,
    ) -> None:
        self._run = run
        self._wait = wait
        self._node = node
        self._node_prefix = node_prefix
        self._held: dict[SlotKey, _Holding] = {}
        self._call_later = call_later
        self._freed = FreedSlots(run, node, call_later)
        self._moved: Callable[[ClientKey, str], None] | None = None
        self._reporting: SlicedWork[SlotKey] = SlicedWork(call_later, _in_words, REPORTED)
        # The accounts whose slots must be reported when the report under way is done. None stands for all accounts.
        self._to_report: set[str | None] = set()

    def watch(self, moved: Callable[[ClientKey, str], None]) -> None:
        self._moved = moved

    def name(self, number: int) -> str:
        return f"#{self._node}:{number}"

    def take(self, client_key: ClientKey, account: Account, listener: str) -> Deferred[None]:
        key = client_key, listener
        self._freed.keep(key)
        holding = self._held.setdefault(key, _Holding())
        waiting = self._wait()
        if waiting is None:
            return self._take(key, holding, account)
        # Not counted by this node alone: the listener will have joined when Redis is there, and nobody would report it.
        # If Redis does not come in time the caller is refused, and gives the slot up by `leave`.
        return waiting.addCallback(lambda _none: self._take(key, holding, account))

    def _take(self, key: SlotKey, holding: _Holding, account: Account) -> Deferred[None]:
        if self._held.get(key) is not holding:  # the listener has left while it waited
            return succeed(None)
        answered = self._ask(key, holding, account, b"")
        if answered is None:
            return succeed(None)  # while Redis is away each node counts for itself
        return answered.addCallback(self._taken, key, account)

    def _ask(
        self, key: SlotKey, holding: _Holding, account: Account | None, since: bytes | int
    ) -> Deferred[bytes] | None:
        (api_key, address), listener = key
        most, most_in_all = (0, 0) if account is None else (account.listeners_per_ip, account.listeners or 0)
        answered = self._run(
            TAKE_SLOT, api_key, address, listener, self._node, most, self._node_prefix, api_key, since, most_in_all
        )
        if answered is None:
            return None
        holding.unanswered += 1
        return answered.addBoth(self._answered, key, holding)

    def _answered(self, answer: bytes, key: SlotKey, holding: _Holding) -> bytes:
        holding.unanswered -= 1
        if isinstance(answer, bytes) and answer.isdigit():  # else it is "full", "full in all", "moved" or a failure
            holding.since = max(holding.since, int(answer))
            self._compare(key, holding)
        return answer

    def _compare(self, key: SlotKey, holding: _Holding) -> None:
        if self._is_elsewhere(key, holding):
            self._call_later(SURE_AFTER, self._make_sure, key, holding)

    def _is_elsewhere(self, key: SlotKey, holding: _Holding) -> bool:
        return not holding.unanswered and holding.elsewhere > holding.since and self._held.get(key) is holding

    def _make_sure(self, key: SlotKey, holding: _Holding) -> None:
        """Claim a slot again, which is answered with "moved" if the listener is still elsewhere."""
        if self._is_elsewhere(key, holding):
            self._report_one({None}, key)

    def _taken(self, answer: bytes, key: SlotKey, account: Account) -> None:
        if answer == b"full":
            self._held.pop(key, None)
            raise quota.too_many(account)
        if answer == b"full in all":
            self._held.pop(key, None)
            raise quota.too_many_in_all(account)

    def leave(self, client_key: ClientKey, listener: str) -> None:
        if self._held.pop((client_key, listener), None) is None:
            return
        self._freed.free((client_key, listener))

    @property
    def api_keys(self) -> set[str]:
        """The accounts that have slots here."""
        return {api_key for (api_key, _address), _listener in self._held}

    def give_away(self, api_keys: Collection[str]) -> SlotsOfAccounts:
        """Give the slots of accounts away, because the accounts are at another Redis now."""
        held = {key: self._held.pop(key) for key in list(self._held) if key[0][0] in api_keys}
        return held, self._freed.give_away(api_keys)

    def take_over(self, slots: SlotsOfAccounts) -> None:
        """Hold slots that were held at another Redis, and free those that were given up there."""
        held, freed = slots
        self._held.update(held)
        for key in freed:
            self._freed.free(key)

    def free_all(self) -> None:
        """Free now what was given up in this turn, because the session with Redis is about to end."""
        self._freed.free_all()

    def report(self, api_key: str | None = None) -> None:
        """Tell Redis again which slots are held here, and which were given up while it was away.

        `api_key`: of this account only. Takes nobody's slot away, except from a listener that has moved meanwhile. The
        slots are reported in steps. A report that is asked for meanwhile follows, because Redis may have forgotten those
        that were reported already.
        """
        self._to_report.add(api_key)
        if not self._reporting.is_busy:
            self._report_next()

    def _report_next(self) -> None:
        if self._to_report:
            accounts, self._to_report = self._to_report, set()
            report = partial(self._report_one, accounts)
            keys = [*self._freed.unconfirmed, *self._held]
            self._reporting.add("Reporting to Redis", keys, lambda: report, at_once=True, done=self._report_next)

    def _report_one(self, accounts: set[str | None], key: SlotKey) -> None:
        """Report a slot as it is by now, if it is of one of the accounts."""
        if key in self._freed.unconfirmed:
            self._freed.free(key)
        holding = self._held.get(key)
        # A slot without `since` is being asked for at this moment.
        if holding is not None and holding.since and (None in accounts or key[0][0] in accounts):
            answered = self._ask(key, holding, None, holding.since)
            if answered is not None:
                answered.addCallback(self._reported, key, holding)
                answered.addErrback(lambda _failure: None)  # the connection is lost: the next session reports again

    def _reported(self, answer: bytes, key: SlotKey, holding: _Holding) -> None:
        if answer == b"moved" and not holding.unanswered and self._held.get(key) is holding:
            self._has_moved(key)

    def heard(self, text: bytes) -> None:
        """Handle the message that a listener of this node has taken its slot at another node.

        The message can be late: the listener may be back here by now, with a later `since`.
        """
        api_key, address, listener, time = read_array(text, _MOVED)
        key = (api_key, address), listener
        holding = self._held.get(key)
        if holding is not None:
            holding.elsewhere = max(holding.elsewhere, int(time))
            self._compare(key, holding)

    def _has_moved(self, key: SlotKey) -> None:
        if self._moved is not None and self._held.pop(key, None) is not None:
            self._moved(*key)


def _in_words(key: SlotKey) -> str:
    return f"a slot of account {key[0][0]}"
