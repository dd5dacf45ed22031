"""Who listens from which address: the 30 listeners, and what one address may cost.

"There can be a maximum of 30 listeners from the same IP connected at the same time" (the seed).
"""

from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

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

Household = tuple[str, str]
"""(API key, address)."""


def address_of(host: str) -> str:
    """What counts as one address: an IPv4 address, an IPv6 /64; what is neither (a Unix socket) stands for itself."""
    try:
        address: IPv4Address | IPv6Address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return f"{IPv6Address(int(address) >> 64 << 64)}/64"
        address = address.ipv4_mapped
    return str(address)


def too_many(account: Account) -> errors.Refused:
    """All places of an address are taken."""
    return errors.Refused(
        errors.TOO_MANY_LISTENERS,
        f"{account.listeners_per_ip} listeners are connected from this address already, which is the most for this "
        "account: close one, or have listeners_per_ip raised. (To the server everybody behind a proxy that is not in its "
        "trusted_proxies has one address.)",
    )


@attrs.define(eq=False)
class _Places:
    """`holders`: for each listener id who holds its place, None while a poller is between two polls."""

    holders: dict[str, object | None] = attrs.Factory(dict)
    until: dict[str, float] = attrs.Factory(dict)


@attrs.define(eq=False)
class _Spent:
    """What an address has cost since `minute` began."""

    minute: float
    identifiers: int = 0
    replay: int = 0


class Census:
    """Times are seconds of any clock that never goes back. `freed`: told of each place that nobody has any more."""

    def __init__(self, freed: Callable[[Household, str], None] | None = None) -> None:
        self._freed = freed
        self._places: dict[Household, _Places] = {}
        self._absent: deque[tuple[float, Household, str]] = deque()
        self._spent: dict[Household, _Spent] = {}  # the longest ago that a minute began first

    def __len__(self) -> int:
        """How many places are held or kept."""
        return sum(len(places.holders) for places in self._places.values())

    def take(self, household: Household, account: Account, listener: str, holder: object, now: float) -> object | None:
        """Give a place to `holder`. Returns who held the place of this listener id until now, if anybody.

        Raises `Refused` (too_many_listeners), which changes nothing for those who have a place.
        """
        if self._absent:
            self._free_absent(now)
        places = self._places.get(household)
        if places is None:
            places = self._places[household] = _Places()
        if listener not in places.holders and len(places.holders) >= account.listeners_per_ip:
            if not places.holders:
                del self._places[household]
            raise too_many(account)
        before = places.holders.get(listener)
        places.holders[listener] = holder
        if places.until:
            places.until.pop(listener, None)
        return before

    def has(self, household: Household, listener: str) -> bool:
        """Whether the listener has a place, be it kept for it."""
        places = self._places.get(household)
        return places is not None and listener in places.holders

    def is_held_by(self, household: Household, listener: str, holder: object) -> bool:
        """Whether `holder` has the place of the listener."""
        places = self._places.get(household)
        return places is not None and places.holders.get(listener) is holder

    def remove(self, household: Household, listener: str) -> object | None:
        """Free the place of a listener that is elsewhere now. Returns who held it."""
        places = self._places.get(household)
        if places is None or listener not in places.holders:
            return None
        holder = places.holders[listener]
        self._free(household, places, listener)
        return holder

    def leave(self, household: Household, listener: str, holder: object, keep_until: float | None = None) -> None:
        """`holder` is gone. Its place is free unless another has it by now, or until `keep_until`."""
        places = self._places.get(household)
        if places is None or places.holders.get(listener) is not holder:
            return
        if keep_until is None:
            self._free(household, places, listener)
        else:
            places.holders[listener] = None
            places.until[listener] = keep_until
            self._absent.append((keep_until, household, listener))

    def expire(self, now: float) -> None:
        """Free the places of pollers that did not come again, and forget the minutes that are over."""
        for household, spent in list(self._spent.items()):
            if now - spent.minute < MINUTE:
                break
            del self._spent[household]
        self._free_absent(now)

    def _free_absent(self, now: float) -> None:
        absent = self._absent
        while absent and absent[0][0] <= now:
            until, household, listener = absent.popleft()
            places = self._places.get(household)
            if places is not None and places.until.get(listener) == until:
                self._free(household, places, listener)

    def _free(self, household: Household, places: _Places, listener: str) -> None:
        del places.holders[listener]
        places.until.pop(listener, None)
        if not places.holders:
            del self._places[household]
        if self._freed is not None:
            self._freed(household, listener)

    def charge(self, household: Household, account: Account, identifiers: int, now: float) -> None:
        """Count the identifiers of a joining that the node did not follow yet.

        The API key is public, so joining is bounded. Raises `Refused` (too_many_listeners) once a minute's worth of
        them, or of replay, is used up.
        """
        spent = self._spent.get(household)
        if spent is None or now - spent.minute >= MINUTE:
            self._spent.pop(household, None)
            spent = self._spent[household] = _Spent(now)
        many = account.listeners_per_ip
        if spent.identifiers + identifiers > many * NEW_IDENTIFIERS or spent.replay >= many * REPLAY_BYTES:
            raise errors.Refused(
                errors.TOO_MANY_LISTENERS,
                "This address has asked for too many new identifiers or too much replay within a minute: wait.",
                retry=max(1, round(spent.minute + MINUTE - now)),
            )
        spent.identifiers += identifiers

    def replayed(self, household: Household, size: int) -> None:
        """So many bytes will be replayed to a listener that was charged for."""
        spent = self._spent.get(household)
        if spent is not None:  # or its minute is over
            spent.replay += size
