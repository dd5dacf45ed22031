"""The quota of one address and of one account: the slots of listeners, and the costs of joins within a minute.

"There can be a maximum of 30 listeners from the same IP connected at the same time" (the seed).

Slots and minutes end by time, and any number of them can end in the same moment. `expire` forgets a bounded number in each
call. A slot that has ended keeps no listener of its own address out, because `take` looks at those first. It keeps listeners of
another address of its account out only if more than `EXPIRE_STEPS` slots have ended and wait to be freed.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable

import attrs

from cometify.core import errors
from cometify.core.account import Account

ABSENCE = 10.0
"""Seconds for which a poller keeps its slot between two polls."""
CHARGE_WINDOW = 60.0
"""Seconds within which the joins of an address are added up, from the first one on."""
NEW_IDENTIFIERS = 100
"""Identifiers that an address joins in a window, times `listeners_per_ip`. Each counts once.

An identifier that somebody else follows counts as well, although it costs the server little. If it did not, an address with
a used-up window could find out which identifiers others listen to.
"""
REPLAY_BYTES = 64 * 2**20
"""Bytes of replay in a window, times `listeners_per_ip`."""
BYTES_A_LOOK = 200
"""Bytes of replay that each kept push counts that a join looks at. A look takes 1 us, also if no group wants the push. So an
address can have some ten seconds of such looks in a window, with 30 listeners."""
EXPIRE_STEPS = 500
"""The most slots and windows together that one call of `expire` forgets."""
NAMES_A_STEP = 10
"""The most identifiers of a window that is over that one step of `expire` forgets."""

ClientKey = tuple[str, str]
"""(API key, address)."""


def too_many(account: Account) -> errors.Refused:
    """The refusal of a listener whose address has no free slot."""
    return errors.Refused(
        errors.TOO_MANY_LISTENERS,
        f"{account.listeners_per_ip} listeners are connected from this address, which is the most for this account: close "
        "one, or raise listeners_per_ip. (Behind a proxy that is not in trusted_proxies, all clients have the proxy's "
        "address.)",
    )


def too_many_in_all(account: Account) -> errors.Refused:
    """The refusal of a listener whose account has no free slot."""
    return errors.Refused(
        errors.TOO_MANY_LISTENERS,
        f"{account.listeners} listeners are connected, which is the most for this account: come back later, or raise "
        "listeners of the account.",
    )


@attrs.define(eq=False)
class _Slots:
    """The slots of one address.

    `holders`: for each listener id the listener that holds its slot, or None while a poller is between two polls.
    `until`: for each listener id in such an absence, the second at which the slot is freed; the earliest first, because
    all absences are equally long.
    """

    holders: dict[str, object | None] = attrs.Factory(dict)
    until: dict[str, float] = attrs.Factory(dict)


@attrs.define(eq=False)
class _Spent:
    """The cost of an address's joins since `began` (seconds): the identifiers (lower case), and bytes of replay."""

    began: float
    identifiers: set[str] = attrs.Factory(set)
    replay: int = 0


class Quota:
    """The slots and the costs of all addresses on this node.

    Times are seconds of any clock that never goes back. `freed`: called with each slot that no listener has any longer.
    """

    def __init__(self, freed: Callable[[ClientKey, str], None] | None = None) -> None:
        self._freed = freed
        self._slots: dict[ClientKey, _Slots] = {}
        # The slots of each account that has any, by API key.
        self._counts: Counter[str] = Counter()
        # Absences in the order in which they end. One whose poller has come back stays here until its time.
        self._absent: deque[tuple[float, ClientKey, str]] = deque()
        # The oldest window first.
        self._spent: OrderedDict[ClientKey, _Spent] = OrderedDict()
        # The identifiers of windows that are over. There can be many, so `expire` frees them in steps.
        self._over: deque[set[str]] = deque()

    def __len__(self) -> int:
        """The number of slots that are held or kept."""
        return sum(len(slots.holders) for slots in self._slots.values())

    def take(self, client_key: ClientKey, account: Account, listener: str, holder: object, now: float) -> object | None:
        """Give a slot to `holder`. Returns the former holder of this listener id's slot, if there is one.

        Raises `Refused` (too_many_listeners), which changes nothing for those that have a slot.
        """
        slots = self._slots.get(client_key)
        if slots is None:
            slots = _Slots()
        if listener not in slots.holders:
            if account.listeners is not None or len(slots.holders) >= account.listeners_per_ip:
                self._check_room(client_key, slots, account, now)
            self._slots[client_key] = slots  # A new entry, or one that the check has emptied and deleted.
            self._counts[client_key[0]] += 1
        before = slots.holders.get(listener)
        slots.holders[listener] = holder
        if slots.until:
            slots.until.pop(listener, None)
        return before

    def _check_room(self, client_key: ClientKey, slots: _Slots, account: Account, now: float) -> None:
        """Check that an address and its account have a free slot. Raises `Refused` (too_many_listeners)."""
        if len(slots.holders) >= account.listeners_per_ip:
            self._free_ended(client_key, slots, now)
            if len(slots.holders) >= account.listeners_per_ip:
                raise too_many(account)
        if account.listeners is not None and self._counts[client_key[0]] >= account.listeners:
            steps = EXPIRE_STEPS
            while steps and self._free_absent(now):
                steps -= 1
            if self._counts[client_key[0]] >= account.listeners:
                raise too_many_in_all(account)

    def _free_ended(self, client_key: ClientKey, slots: _Slots, now: float) -> None:
        """Free the slots of one address whose absence is over, without waiting for `expire` to come to them."""
        ended = []
        for listener, until in slots.until.items():
            if until > now:
                break
            ended.append(listener)
        for listener in ended:
            self._free(client_key, slots, listener)

    def has(self, client_key: ClientKey, listener: str) -> bool:
        """Return whether the listener has a slot, held or kept."""
        slots = self._slots.get(client_key)
        return slots is not None and listener in slots.holders

    def is_held_by(self, client_key: ClientKey, listener: str, holder: object) -> bool:
        """Return whether `holder` has the slot of the listener id."""
        slots = self._slots.get(client_key)
        return slots is not None and slots.holders.get(listener) is holder

    def remove(self, client_key: ClientKey, listener: str) -> object | None:
        """Free the slot of a listener that is on another node now. Returns its holder."""
        slots = self._slots.get(client_key)
        if slots is None or listener not in slots.holders:
            return None
        holder = slots.holders[listener]
        self._free(client_key, slots, listener)
        return holder

    def leave(self, client_key: ClientKey, listener: str, holder: object, keep_until: float | None = None) -> None:
        """Free the slot of `holder`, unless another holder has it by now; at once, or at the second `keep_until`."""
        slots = self._slots.get(client_key)
        if slots is None or slots.holders.get(listener) is not holder:
            return
        if keep_until is None:
            self._free(client_key, slots, listener)
        else:
            slots.holders[listener] = None
            slots.until[listener] = keep_until
            self._absent.append((keep_until, client_key, listener))

    def expire(self, now: float) -> bool:
        """Free the slots of pollers that did not come back, and forget the windows that are over.

        Does at most `EXPIRE_STEPS`. Returns whether more may be due; then call it again soon.
        """
        return all(
            self._forget_names() or self._forget_window(now) or self._free_absent(now) for _step in range(EXPIRE_STEPS)
        )

    def _forget_names(self) -> bool:
        """Forget some identifiers of windows that are over. Returns whether there were any."""
        if not self._over:
            return False
        names = self._over[0]
        for _ in range(min(NAMES_A_STEP, len(names))):
            names.pop()
        if not names:
            self._over.popleft()
        return True

    def _forget_window(self, now: float) -> bool:
        """Forget the oldest window if it is over. Returns whether it was."""
        if self._spent:
            client_key, spent = next(iter(self._spent.items()))
            if now - spent.began >= CHARGE_WINDOW:
                self._end_window(client_key)
                return True
        return False

    def _free_absent(self, now: float) -> bool:
        """End the oldest absence if its time has come. Returns whether it has."""
        if self._absent and self._absent[0][0] <= now:
            until, client_key, listener = self._absent.popleft()
            slots = self._slots.get(client_key)
            if slots is not None and slots.until.get(listener) == until:
                self._free(client_key, slots, listener)
            return True
        return False

    def _free(self, client_key: ClientKey, slots: _Slots, listener: str) -> None:
        del slots.holders[listener]
        if slots.until:
            slots.until.pop(listener, None)
        if not slots.holders:
            del self._slots[client_key]
        self._counts[client_key[0]] -= 1
        if not self._counts[client_key[0]]:
            del self._counts[client_key[0]]
        if self._freed is not None:
            self._freed(client_key, listener)

    def _end_window(self, client_key: ClientKey) -> None:
        spent = self._spent.pop(client_key)
        if len(spent.identifiers) > NAMES_A_STEP:
            self._over.append(spent.identifiers)

    def charge(self, client_key: ClientKey, account: Account, identifiers: Iterable[str], now: float) -> None:
        """Count the identifiers (lower case) of a join.

        Joins are bounded because the API key is public. Raises `Refused` (too_many_listeners) when the identifiers or the
        replay bytes of a window are used up. Only the address's own joins decide that.
        """
        spent = self._spent.get(client_key)
        if spent is not None and now - spent.began >= CHARGE_WINDOW:
            self._end_window(client_key)
            spent = None
        if spent is None:
            spent = self._spent[client_key] = _Spent(now)
        many = account.listeners_per_ip
        new = [name for name in identifiers if name not in spent.identifiers]
        if len(spent.identifiers) + len(new) > many * NEW_IDENTIFIERS or spent.replay >= many * REPLAY_BYTES:
            wait = max(1, round(spent.began + CHARGE_WINDOW - now))
            raise errors.Refused(
                errors.TOO_MANY_LISTENERS,
                "This address has asked for too many different identifiers or too much replay within a minute: wait "
                f"{wait} seconds.",
                retry=wait,
            )
        spent.identifiers.update(new)

    def replayed(self, client_key: ClientKey, size: int) -> None:
        """Count bytes that will be replayed to a listener whose join was charged. Without a window nothing is counted."""
        spent = self._spent.get(client_key)
        if spent is not None:
            spent.replay += size
