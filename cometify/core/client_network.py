"""The network that counts as one client: an IPv4 address or an IPv6 /64."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address


def address_of(host: str) -> str:
    """Return the network that counts as one client.

    That is an IPv4 address (also where it is mapped into IPv6), or an IPv6 /64, because one household gets a whole /64.
    Any other text, such as the path of a Unix socket, is returned as it is.
    """
    try:
        address: IPv4Address | IPv6Address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return f"{IPv6Address(int(address) >> 64 << 64)}/64"
        address = address.ipv4_mapped
    return str(address)


def is_in(host: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """True if an address is in one of the networks. Any other text is in none."""
    try:
        address: IPv4Address | IPv6Address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return any(address in network for network in networks)
