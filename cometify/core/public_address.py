"""Addresses of the public internet, as opposed to those of this machine and of networks behind it."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")
"""A gateway takes these to the IPv4 address in their last 32 bits (RFC 6052)."""
_COMPATIBLE = IPv6Network("::/96")
"""The form ::a.b.c.d, which nobody uses any longer (RFC 4291, section 2.5.5.1). No route of the internet leads to one."""


def is_public(host: str) -> bool:
    """True for an IP address that anybody on the internet can reach. False for any other text.

    An IPv6 address that leads to an IPv4 address counts as that one.
    """
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address in _COMPATIBLE:
            return False
        inner = _inner(address)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


def _inner(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour
