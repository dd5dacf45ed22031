"""The PROXY protocol: what the specification allows is read, however it is cut, and everything else is closed quietly."""

import struct
from ipaddress import ip_address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.logger import globalLogPublisher

from cometify.runtime.proxy_protocol import ProxyProtocol, _ProxyFactory

PROXY = IPv4Address("TCP", "10.0.0.9", 4242)
HERE = IPv4Address("TCP", "10.0.0.1", 8081)
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
IPV4 = ip_address("192.0.2.1").packed + ip_address("192.0.2.2").packed + struct.pack(">HH", 4711, 80)
IPV6 = ip_address("2001:db8::1").packed + ip_address("2001:db8::2").packed + struct.pack(">HH", 4711, 80)


def binary(command=0x21, kind=0x11, rest=IPV4, length=None):
    return SIGNATURE + bytes([command, kind]) + struct.pack(">H", len(rest) if length is None else length) + rest


class Inner(Protocol):
    got = b""

    def dataReceived(self, data):
        self.got += data


class Connected:
    """A connection that was sent these pieces."""

    def __init__(self, *pieces):
        factory = _ProxyFactory(Factory.forProtocol(Inner))
        self.transport = StringTransportWithDisconnection(HERE, PROXY)
        self.protocol = self.transport.protocol = factory.buildProtocol(PROXY)
        self.inner = self.protocol.wrappedProtocol
        self.protocol.makeConnection(self.transport)
        for piece in pieces:
            if self.transport.connected:
                self.protocol.dataReceived(piece)

    @property
    def ends(self):
        peer, host = self.protocol.getPeer(), self.protocol.getHost()
        return [(end.host, end.port) for end in (peer, host)]

    @property
    def got(self):
        return self.inner.got


OLD = [("192.0.2.1", 4711), ("192.0.2.2", 80)]
NEW = [("2001:db8::1", 4711), ("2001:db8::2", 80)]
UNTOLD = [("10.0.0.9", 4242), ("10.0.0.1", 8081)]
ALLOWED = {
    b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n": OLD,
    b"PROXY TCP6 2001:db8::1 2001:DB8:0::2 4711 80\r\n": NEW,
    b"PROXY UNKNOWN\r\n": UNTOLD,
    b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n": UNTOLD,
    binary(): OLD,
    binary(kind=0x12): OLD,
    binary(rest=IPV4 + b"\x04\0\x01a" * 16_000): OLD,
    binary(kind=0x21, rest=IPV6): NEW,
    binary(kind=0x31, rest=b"a" * 216): UNTOLD,
    binary(kind=0, rest=b""): UNTOLD,
    binary(command=0x20): UNTOLD,
    binary(command=0x20, kind=0, rest=b""): UNTOLD,
    binary(command=0x20, kind=0xFF, rest=b"whatever"): UNTOLD,
}
REFUSED = [
    b"GET / HTTP/1.1\r\n",
    b"\r\n\r\nGET / HTTP/1.1\r\n",
    b"proxy UNKNOWN\r\n",
    b"PROXY\r\n",
    b"PROXY UNKNOWNX\r\n",
    b"PROXY UDP4 192.0.2.1 192.0.2.2 4711 80\r\n",
    b"PROXY TCP4 192.0.2.1\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80 1\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 x 80\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 80\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 -1\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\nGET / HTTP/1.1\r\n",
    b"PROXY TCP4 999.0.2.1 192.0.2.2 4711 80\r\n",
    b"PROXY TCP4 localhost 192.0.2.2 4711 80\r\n",
    b"PROXY TCP4 2001:db8::1 2001:db8::2 4711 80\r\n",
    b"PROXY TCP6 192.0.2.1 192.0.2.2 4711 80\r\n",
    b"PROXY TCP6 fe80::1%eth0 2001:db8::2 4711 80\r\n",
    b"PROXY TCP4 \xff\xfe 192.0.2.2 4711 80\r\n",
    b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n",
    b"PROXY " + b"1" * 101,
    binary(command=0x22),
    binary(command=0x31),
    binary(kind=0x13),
    binary(kind=0x41),
    binary(rest=IPV4[:-1]),
    binary(kind=0x21, rest=IPV4),
]


@given(st.sampled_from(sorted(ALLOWED)), st.lists(st.integers(1, 250), max_size=6), st.binary(max_size=20))
def test_header_is_read_however_it_is_cut(header, cuts, behind):
    sent = header + behind
    places = sorted({0, len(sent), *[cut for cut in cuts if cut < len(sent)]})
    wire = Connected(*[sent[start:end] for start, end in pairwise(places)], b"more")
    assert wire.ends == ALLOWED[header]
    assert wire.got == behind + b"more"
    assert wire.transport.connected


@pytest.mark.parametrize("sent", REFUSED, ids=repr)
@pytest.mark.parametrize("size", [1, 10_000])
def test_anything_else_is_closed_and_tells_the_log_nothing(sent, size):
    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        wire = Connected(*[sent[at : at + size] for at in range(0, len(sent), size)], b"GET / HTTP/1.1\r\n\r\n")
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert not wire.transport.connected
    assert (wire.got, wire.transport.value(), events) == (b"", b"", [])


def test_half_a_header_is_waited_for_and_passes_nothing_on():
    for header in ALLOWED:
        wire = Connected(header[:-1])
        assert wire.transport.connected
        assert wire.got == b""
        assert isinstance(wire.protocol, ProxyProtocol)
        assert wire.ends == UNTOLD
