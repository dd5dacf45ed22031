"""Requests that may have crossed a network without encryption.

A direct request has crossed none if its connection is TLS, or does not leave this machine (loopback, or a Unix socket).

A request that a proxy has forwarded is known by X-Forwarded-For, X-Forwarded-Proto or the PROXY protocol. The server cannot
see the client's connection then. Such a request has crossed none if a trusted proxy says https in X-Forwarded-Proto, in each
of its values. Every other request counts as clear text.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from cometify.http.client_address import UNIX, Networks, host_of, is_trusted
from cometify.http.exchange import Exchange


def came_in_clear(request: Exchange, trusted: Networks) -> bool:
    """Return True unless the request is known to have crossed no network without encryption."""
    hop = request.hop
    here = host_of(hop.peer)
    protocols = request.headers("x-forwarded-proto")
    if not (protocols or hop.is_proxied or request.headers("x-forwarded-for")):
        return not (hop.is_encrypted or is_this_machine(here))
    told = [item.strip(" \t").lower() for value in protocols for item in value.split(",")]
    return not (is_trusted(here, trusted) and set(told) == {"https"})


@lru_cache(256)
def is_this_machine(host: str) -> bool:
    """Return True for a loopback address, and for a peer of a Unix socket. `host`: see `host_of`."""
    if host == UNIX:
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
