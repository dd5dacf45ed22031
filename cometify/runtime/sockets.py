"""The layers below a protocol: TLS, the PROXY protocol, and the socket with its options."""

import fcntl
import socket
import struct
import termios
from contextlib import suppress
from typing import Any, cast

import attrs
from twisted.internet.interfaces import IAddress, ITCPTransport
from twisted.internet.main import CONNECTION_DONE
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from cometify.runtime.left_peers import LEFT
from cometify.runtime.tcp import LISTENER_OPTIONS, LONG_READ, READ, EagerServer
from cometify.runtime.transport import StreamProtocol, Transport


@attrs.frozen
class Hop:
    """The connection that a request came by, below the PROXY protocol.

    `peer`: the other end of the socket, which is the proxy if there is one. `is_encrypted`: the connection is TLS.
    `is_proxied`: the PROXY protocol is spoken on it.
    """

    peer: IAddress
    is_encrypted: bool
    is_proxied: bool


def hop_of(transport: Transport) -> Hop:
    """Describe a connection by its transport."""
    below = below_proxy(transport)
    return Hop(below.getPeer(), isinstance(below, TLSMemoryBIOProtocol), below is not transport)


def lowest(transport: Any) -> Any:
    """The transport that has the socket, below TLS and the PROXY protocol."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def end(transport: Transport) -> None:
    """End a connection whose peer sends nothing more. Bytes that wait for the peer are dropped."""
    lowest(transport).connectionLost(Failure(CONNECTION_DONE))


def eager(transport: Transport) -> EagerServer | None:
    """The eager transport to whose socket bytes may go unchanged, or None. Below TLS there is none."""
    low = below_proxy(transport)
    return low if isinstance(low, EagerServer) else None


def below_proxy(transport: Any) -> Any:
    """The transport below the PROXY protocol.

    Its wrapper passes on unchanged whatever is written. Of the wrappers that an endpoint's description can ask for, only
    TLS changes bytes.
    """
    while isinstance(transport, ProtocolWrapper) and not isinstance(transport, TLSMemoryBIOProtocol):
        transport = transport.transport
    return transport


def set_read_size(transport: Transport, missing: int = 0) -> None:
    """Set the bytes of one read. A transport that is not eager keeps its own.

    `missing`: the bytes of a body that have not come yet. A longer read would take requests that follow the body, and its
    turn would last until all of them are served.
    """
    low = lowest(transport)
    if isinstance(low, EagerServer):
        low.read_size = max(READ, min(missing, LONG_READ))


def prefer(transport: Transport) -> None:
    """Have a connection read before those that only listen. See `read_order.ReadOrder`."""
    low = lowest(transport)
    if isinstance(low, EagerServer):
        low.is_prompt = True


def set_no_delay(transport: Transport) -> None:
    """Set TCP_NODELAY, if it is TCP at all: an answer must not wait for the acknowledgement of the one before."""
    # The type is compared first because asking for an interface takes 0.3 us longer.
    if isinstance(transport, EagerServer) or ITCPTransport.providedBy(transport):
        cast("ITCPTransport", transport).setTcpNoDelay(True)


def set_up_listener(transport: Transport) -> None:
    """Bound the memory that the kernel takes for a listener, and have it notice peers that are gone."""
    if not isinstance(lowest(transport), EagerServer):  # an eager one inherits the options from its port
        for option in LISTENER_OPTIONS:
            _set_option(transport, *option)


def set_user_timeout(transport: Transport, milliseconds: int) -> None:
    """Set the time for which a peer may acknowledge nothing before the kernel ends the connection."""
    _set_option(transport, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def _set_option(transport: Transport, level: int, option: int, value: int) -> None:
    handle = getattr(lowest(transport), "socket", None)
    if handle is not None:
        with suppress(OSError):  # a Unix socket has no TCP options, and a closed socket needs none
            handle.setsockopt(level, option, value)


def unsent(transport: Transport) -> int:
    """Bytes in the process that wait for the peer. Those of a transport that is not eager are not known, and count as none."""
    low = lowest(transport)
    return low.unsent if isinstance(low, EagerServer) else 0


def unread(transport: Transport) -> int:
    """Bytes that wait for the peer, in the process and in the kernel."""
    handle = getattr(lowest(transport), "socket", None)
    waiting = unsent(transport)
    if handle is None:
        return waiting
    try:
        in_kernel: int = struct.unpack("i", fcntl.ioctl(handle, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
    except OSError:
        return waiting
    return waiting + in_kernel


def has_left(transport: Transport) -> bool:
    """Return True if the peer has closed the connection, and nobody waits for an answer. See `left_peers`."""
    low = lowest(transport)
    return isinstance(low, EagerServer) and bool(low.connected) and LEFT.has_left(low.fileno())


def set_protocol(transport: Any, protocol: StreamProtocol) -> None:
    """Give `protocol` whatever the peer sends from now on."""
    if isinstance(transport, ProtocolWrapper):
        transport.wrappedProtocol = protocol  # type: ignore[assignment]
    else:
        transport.protocol = protocol


def protocol_of(transport: Any) -> StreamProtocol:
    """The protocol that gets whatever the peer sends."""
    protocol = transport.wrappedProtocol if isinstance(transport, ProtocolWrapper) else transport.protocol
    return cast("StreamProtocol", protocol)
