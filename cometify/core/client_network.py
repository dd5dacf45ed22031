"""The network that counts as one client: an IPv4 address or an IPv6 /64."""

from ipaddress import IPv4Address, IPv6Address, ip_address


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
