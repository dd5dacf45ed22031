"""Who listens from which address: the 30 listeners, and what one address may cost.

"There can be a maximum of 30 listeners from the same IP connected at the same time" (the seed).
"""

from collections import deque
from collections.abc import Callable

import attrs

from cometify.core import errors
from cometify.core.account import Account

ABSENCE = 10.0
"""Seconds that a poller stays counted between two polls."""
MINUTE = 60.0
NEW_IDENTIFIERS = 100
"""Identifiers a minute that the node did not follow yet, for each listener that an address may have."""
REPLAY_BYTES = 64 * 2**20
"""Bytes of replay a minute, for each listener that an address may have."""

ClientKey = tuple[str, str]
"""(API key, address)."""


def too_many(account: Account) -> errors.Refused:
    """All places of an address are taken."""
    return errors.Refused(
        errors.TOO_MANY_LISTENERS,
        f"{account.listeners_per_ip} listeners are connected from this address already, which is the most for this "
        "account: close one, or have listeners_per_ip raised. (To the server everybody behind a proxy that is not in its "
        "trusted_proxies has one address.)",
    )


@attrs.define(eq=False)
class _Slots:
    """`holders`: for each listener id who holds its place, None while a poller is between two polls."""

    holders: dict[str, object | None] = attrs.Factory(dict)
    until: dict[str, float] = attrs.Factory(dict)


@attrs.define(eq=False)
class _Spent:
    """What an address has cost since `minute` began."""

    minute: float
    identifiers: int = 0
    replay: int = 0


class Quota:
    """Times are seconds of any clock that never goes back. `freed`: told of each place that nobody has any more."""

    def __init__(self, freed: Callable[[ClientKey, str], None] | None = None) -> None:
        self._freed = freed
        self._slots: dict[ClientKey, _Slots] = {}
        self._absent: deque[tuple[float, ClientKey, str]] = deque()
        self._spent: dict[ClientKey, _Spent] = {}  # the longest ago that a minute began first

    def __len__(self) -> int:
        """How many places are held or kept."""
        return sum(len(slots.holders) for slots in self._slots.values())

    def take(self, client_key: ClientKey, account: Account, listener: str, holder: object, now: float) -> object | None:
        """Give a place to `holder`. Returns who held the place of this listener id until now, if anybody.

        Raises `Refused` (too_many_listeners), which changes nothing for those who have a place.
        """
        if self._absent:
            self._free_absent(now)
        slots = self._slots.get(client_key)
        if slots is None:
            slots = self._slots[client_key] = _Slots()
        if listener not in slots.holders and len(slots.holders) >= account.listeners_per_ip:
            if not slots.holders:
                del self._slots[client_key]
            raise too_many(account)
        before = slots.holders.get(listener)
        slots.holders[listener] = holder
        if slots.until:
            slots.until.pop(listener, None)
        return before

    def has(self, client_key: ClientKey, listener: str) -> bool:
        """Whether the listener has a place, be it kept for it."""
        slots = self._slots.get(client_key)
        return slots is not None and listener in slots.holders

    def is_held_by(self, client_key: ClientKey, listener: str, holder: object) -> bool:
        """Whether `holder` has the place of the listener."""
        slots = self._slots.get(client_key)
        return slots is not None and slots.holders.get(listener) is holder

    def remove(self, client_key: ClientKey, listener: str) -> object | None:
        """Free the place of a listener that is elsewhere now. Returns who held it."""
        slots = self._slots.get(client_key)
        if slots is None or listener not in slots.holders:
            return None
        holder = slots.holders[listener]
        self._free(client_key, slots, listener)
        return holder

    def leave(self, client_key: ClientKey, listener: str, holder: object, keep_until: float | None = None) -> None:
        """`holder` is gone. Its place is free unless another has it by now, or until `keep_until`."""
        slots = self._slots.get(client_key)
        if slots is None or slots.holders.get(listener) is not holder:
            return
        if keep_until is None:
            self._free(client_key, slots, listener)
        else:
            slots.holders[listener] = None
            slots.until[listener] = keep_until
            self._absent.append((keep_until, client_key, listener))

    def expire(self, now: float) -> None:
        """Free the places of pollers that did not come again, and forget the minutes that are over."""
        for client_key, spent in list(self._spent.items()):
            if now - spent.minute < MINUTE:
                break
            del self._spent[client_key]
        self._free_absent(now)

    def _free_absent(self, now: float) -> None:
        absent = self._absent
        while absent and absent[0][0] <= now:
            until, client_key, listener = absent.popleft()
            slots = self._slots.get(client_key)
            if slots is not None and slots.until.get(listener) == until:
                self._free(client_key, slots, listener)

    def _free(self, client_key: ClientKey, slots: _Slots, listener: str) -> None:
        del slots.holders[listener]
        slots.until.pop(listener, None)
        if not slots.holders:
            del self._slots[client_key]
        if self._freed is not None:
            self._freed(client_key, listener)

    def charge(self, client_key: ClientKey, account: Account, identifiers: int, now: float) -> None:
        """Count the identifiers of a joining that the node did not follow yet.

        The API key is public, so joining is bounded. Raises `Refused` (too_many_listeners) once a minute's worth of
        them, or of replay, is used up.
        """
        spent = self._spent.get(client_key)
        if spent is None or now - spent.minute >= MINUTE:
            self._spent.pop(client_key, None)
            spent = self._spent[client_key] = _Spent(now)
        many = account.listeners_per_ip
        if spent.identifiers + identifiers > many * NEW_IDENTIFIERS or spent.replay >= many * REPLAY_BYTES:
            raise errors.Refused(
                errors.TOO_MANY_LISTENERS,
                "This address has asked for too many new identifiers or too much replay within a minute: wait.",
                retry=max(1, round(spent.minute + MINUTE - now)),
            )
        spent.identifiers += identifiers

    def replayed(self, client_key: ClientKey, size: int) -> None:
        """So many bytes will be replayed to a listener that was charged for."""
        spent = self._spent.get(client_key)
        if spent is not None:  # or its minute is over
            spent.replay += size
