"""Addresses of the public internet, as opposed to those of this machine and of networks behind it."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")
"""A gateway takes these to the IPv4 address in their last 32 bits (RFC 6052)."""
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All IPv6 addresses that were ever given out for the internet. Networks use others among themselves, such as fec0::/10,
64:ff9b:1::/48 and the forms ::a.b.c.d and ::ffff:0:a.b.c.d."""
_SPECIAL = (
    IPv4Network("192.0.0.0/24"),  # for protocols (RFC 6890); a cloud answers there for its machines
    IPv4Network("192.88.99.0/24"),  # relays of 6to4, which nobody uses any longer (RFC 7526)
    IPv4Network("168.63.129.16"),  # Azure answers there for its machines
    IPv6Network("3fff::/20"),  # for documentation (RFC 9637)
)


def is_public(host: str) -> bool:
    """True for an IP address that anybody on the internet can reach. False for any other text.

    An IPv6 address that leads to an IPv4 address counts as that one.
    """
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(str(inner))
        if address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _SPECIAL)


def _inner(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour
