"""The address under which a listener is counted."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address

from cometify.core.client_network import address_of
from cometify.http.exchange import Exchange

Networks = tuple[IPv4Network | IPv6Network, ...]


def client_address(exchange: Exchange, trusted: Networks) -> str:
    """The address of the client, as the quota counts it (see `core.client_network`)."""
    host = getattr(exchange.peer, "host", None)
    here = "unix" if host is None else str(host)
    forwarded = exchange.headers("x-forwarded-for")
    return _address_of(_behind_proxies(here, forwarded, trusted) if forwarded else here)


# Parsing an address takes half as long as all the rest of a poll.
_address_of = lru_cache(4096)(address_of)


def _behind_proxies(here: str, forwarded: Iterable[str], trusted: Networks) -> str:
    """The address behind trusted proxies: the right-most one in X-Forwarded-For that is not theirs.

    The peer of a Unix socket is always trusted, because only a proxy of this machine can be there.
    """
    items = [item.strip() for value in forwarded for item in value.split(",")]
    while items and (here == "unix" or _is_in(here, trusted)):
        candidate = _host_of(items.pop())
        if candidate is None:
            break
        here = candidate
    return here


def _is_in(host: str, networks: Networks) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)


def _host_of(item: str) -> str | None:
    """An item of X-Forwarded-For as an address, or None if it is not one. Some proxies add a port, which is dropped."""
    for host in (item, item.rpartition(":")[0].strip("[]"), item.strip("[]")):
        try:
            return str(ip_address(host))
        except ValueError:
            continue
    return None
