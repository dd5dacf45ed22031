"""The address under which a listener is counted."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address

from twisted.internet.interfaces import IAddress

from cometify.core.client_network import address_of, is_in
from cometify.http.exchange import Exchange
from cometify.http.untrusted_proxies import UntrustedProxies

Networks = tuple[IPv4Network | IPv6Network, ...]

UNIX = "unix"
"""Stands for the address of a peer on a Unix socket, which has none."""


def client_address(exchange: Exchange, trusted: Networks, untrusted: UntrustedProxies) -> str:
    """The address of the client, as the quota counts it (see `core.client_network`)."""
    here = host_of(exchange.peer)
    forwarded = exchange.headers("x-forwarded-for")
    if forwarded and not (is_trusted(here, trusted) or exchange.hop.is_proxied):
        untrusted.note(here)
    return _address_of(_behind_proxies(here, forwarded, trusted) if forwarded else here)


def host_of(peer: IAddress) -> str:
    """The address of a peer, or `UNIX`."""
    host = getattr(peer, "host", None)
    return UNIX if host is None else str(host)


def is_trusted(here: str, trusted: Networks) -> bool:
    """Return True if headers of this peer about its own client are believed.

    The peer of a Unix socket is always trusted, because only a proxy of this machine can be there.
    """
    return here == UNIX or is_in(here, trusted)


# Parsing an address takes half as long as all the rest of a poll.
_address_of = lru_cache(4096)(address_of)


def _behind_proxies(here: str, forwarded: Iterable[str], trusted: Networks) -> str:
    """The address behind trusted proxies: the right-most one in X-Forwarded-For that is not theirs."""
    items = [item.strip() for value in forwarded for item in value.split(",")]
    while items and is_trusted(here, trusted):
        candidate = _address_in(items.pop())
        if candidate is None:
            break
        here = candidate
    return here


def _address_in(item: str) -> str | None:
    """An item of X-Forwarded-For as an address, or None if it is not one. Some proxies add a port, which is dropped."""
    for host in (item, item.rpartition(":")[0].strip("[]"), item.strip("[]")):
        try:
            return str(ip_address(host))
        except ValueError:
            continue
    return None
