r"""The PROXY protocol, versions 1 and 2: a proxy tells the address of its client before the client's first byte.

The specification is doc/proxy-protocol.txt of HAProxy. Version 1 is a line of text, version 2 is binary:

    PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n
    PROXY UNKNOWN\r\n
    \r\n\r\n\0\r\nQUIT\n, version and command, family, length of the rest, addresses, TLVs

`UNKNOWN`, the command LOCAL (health checks) and the family UNSPEC tell no address, and a Unix socket has none. The peer is then
the proxy itself.

Twisted has a reader too. It closes a connection whose header comes in small pieces, or is `PROXY UNKNOWN` alone, as nginx sends
it for clients on a Unix socket. It takes any text for an address, and writes a traceback for some malformed headers, so that a
stranger could fill the log. This reader takes exactly what the specification allows and closes everything else quietly.
"""

import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import attrs
from twisted.internet import address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from zope.interface import implementer

PREFIX = "haproxy:"
"""Before the description of an endpoint, as in Twisted."""

_LONGEST_LINE = 107
"""Bytes of the longest header of version 1, with its end."""
_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|(TCP[46]) ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) ([0-9]{1,5}) ([0-9]{1,5}))"
)
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_BEFORE_ADDRESSES = 16
_LOCAL, _PROXY = 0x20, 0x21
_IPV4, _IPV6 = 1, 2
_BYTES = {_IPV4: 4, _IPV6: 16}
"""The bytes of one address by family."""
_KINDS = (0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32)
"""Family and transport in one byte: UNSPEC, and then IPv4, IPv6 and Unix, each with STREAM or DGRAM."""
_MOST_PORT = 65_535


@attrs.frozen
class ProxyHeader:
    """The two ends of the client's connection to the proxy. None: the header does not tell them."""

    source: IAddress | None = None
    destination: IAddress | None = None


def read_header(data: bytes) -> tuple[ProxyHeader, bytes] | None:
    """Read a header. Returns it with the bytes behind it, or None if more bytes are needed. Raises `ValueError`."""
    if _begins_with(data, _SIGNATURE):
        return _read_binary(data)
    if not _begins_with(data, b"PROXY "):
        raise ValueError("no header of the PROXY protocol")
    end = data.find(b"\r\n", 0, _LONGEST_LINE)
    if end >= 0:
        return _read_line(data[:end]), data[end + 2 :]
    if len(data) >= _LONGEST_LINE:
        raise ValueError("too long")
    return None


def behind_header(data: bytes) -> bytes:
    """The bytes behind the header that `data` begins with: all if it begins with none, nothing if the header is not whole."""
    if not data.startswith((b"PROXY ", _SIGNATURE)):
        return data
    with suppress(ValueError):
        found = read_header(data)
        return b"" if found is None else found[1]
    return b""


def _begins_with(data: bytes, beginning: bytes) -> bool:
    """True if `data` begins with all of `beginning`, or is itself its beginning."""
    return data.startswith(beginning[: len(data)])


def _read_line(line: bytes) -> ProxyHeader:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError("malformed")
    family, source, destination, source_port, destination_port = found.groups()
    if family is None:
        return ProxyHeader()
    number = _IPV4 if family == b"TCP4" else _IPV6
    return ProxyHeader(
        _ip_address(number, source.decode(), int(source_port)),
        _ip_address(number, destination.decode(), int(destination_port)),
    )


def _read_binary(data: bytes) -> tuple[ProxyHeader, bytes] | None:
    if len(data) < _BEFORE_ADDRESSES:
        return None
    command, kind = data[12], data[13]
    end = _BEFORE_ADDRESSES + int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise ValueError("unknown version or command")
    if command == _PROXY and kind not in _KINDS:
        raise ValueError("unknown family")
    if len(data) < end:
        return None
    family = kind >> 4
    if command == _LOCAL or family not in _BYTES:
        return ProxyHeader(), data[end:]
    return _read_addresses(family, data[_BEFORE_ADDRESSES:end]), data[end:]


def _read_addresses(family: int, rest: bytes) -> ProxyHeader:
    size = _BYTES[family]
    source, destination, ports = rest[:size], rest[size : 2 * size], rest[2 * size : 2 * size + 4]
    if len(ports) < 4:
        raise ValueError("too short")
    return ProxyHeader(
        _ip_address(family, source, int.from_bytes(ports[:2], "big")),
        _ip_address(family, destination, int.from_bytes(ports[2:], "big")),
    )


def _ip_address(family: int, host: str | bytes, port: int) -> IAddress:
    """The address in Twisted's class. Raises `ValueError` if it is not one of this family."""
    if port > _MOST_PORT:
        raise ValueError("no port")
    if family == _IPV4:
        return address.IPv4Address("TCP", str(IPv4Address(host)), port)
    return address.IPv6Address("TCP", str(IPv6Address(host)), port)


class ProxyProtocol(ProtocolWrapper):
    """Reads the header, and passes on what follows. Closes a connection that begins with anything else."""

    def __init__(self, factory: WrappingFactory[Any], wrappedProtocol: Any) -> None:
        super().__init__(factory, wrappedProtocol)
        self._begun = bytearray()
        self._header: ProxyHeader | None = None

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of the header, or pass them on once it was read."""
        if self._header is not None:
            self.wrappedProtocol.dataReceived(data)
            return
        self._begun += data
        try:
            found = read_header(bytes(self._begun))
        except ValueError:
            # Not `loseConnection`: HTTP is a producer, and TLS would wait for its end.
            self._transport().abortConnection()
            return
        if found is not None:
            self._begun.clear()
            self._header, behind = found
            if behind:
                self.wrappedProtocol.dataReceived(behind)

    def getPeer(self) -> IAddress:
        """The client, or the proxy if the header tells no client."""
        told = None if self._header is None else self._header.source
        return self._transport().getPeer() if told is None else told

    def getHost(self) -> IAddress:
        """The proxy's end of the client's connection, or this end of the proxy's."""
        told = None if self._header is None else self._header.destination
        return self._transport().getHost() if told is None else told

    def _transport(self) -> Any:
        assert self.transport is not None
        return self.transport


class _ProxyFactory(WrappingFactory[Any]):
    protocol = ProxyProtocol
    noisy = False

    def logPrefix(self) -> str:
        """The name in the log: that of the wrapped factory."""
        return f"{type(self.wrappedFactory).__name__} (PROXY)"


@implementer(IStreamServerEndpoint)
class ProxiedEndpoint:
    """Listens on another endpoint, with the PROXY protocol."""

    def __init__(self, endpoint: IStreamServerEndpoint) -> None:
        self._endpoint = endpoint

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See IStreamServerEndpoint."""
        return self._endpoint.listen(_ProxyFactory(protocolFactory))
