"""Questions to a socket below any transport, and the options that a listener's socket has."""

import fcntl
import socket
import struct
import termios
from contextlib import suppress
from typing import Any

from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper
from twisted.protocols.policies import ProtocolWrapper

from cometify.runtime.tcp import LISTENER_OPTIONS, EagerServer


def lowest(transport: Any) -> Any:
    """The transport that has the socket, below TLS and the PROXY protocol."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def eager(transport: Any) -> EagerServer | None:
    """The eager transport to whose socket bytes may go unchanged: not below TLS."""
    transport = below_proxy(transport)
    return transport if isinstance(transport, EagerServer) else None


def below_proxy(transport: Any) -> Any:
    """The transport below the PROXY protocol, which changes nothing of what is written."""
    while isinstance(transport, HAProxyProtocolWrapper):
        transport = transport.transport
    return transport


def set_up_listener(transport: Any) -> None:
    """Bound what the kernel keeps for a listener, and have it notice peers that are gone."""
    if not isinstance(lowest(transport), EagerServer):  # that one has it from its port
        for option in LISTENER_OPTIONS:
            _set_option(transport, *option)


def set_user_timeout(transport: Any, milliseconds: int) -> None:
    """For how long the peer may acknowledge nothing."""
    _set_option(transport, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def _set_option(transport: Any, level: int, option: int, value: int) -> None:
    handle = getattr(lowest(transport), "socket", None)
    if handle is not None:
        with suppress(OSError):  # a Unix socket has no TCP options, and a socket that is gone needs none
            handle.setsockopt(level, option, value)


def unread(transport: Any) -> int:
    """Bytes that wait for the peer, in the process and in the kernel."""
    low = lowest(transport)
    handle = getattr(low, "socket", None)
    waiting = low.unsent if isinstance(low, EagerServer) else 0
    if handle is None:
        return waiting
    try:
        return waiting + struct.unpack("i", fcntl.ioctl(handle, termios.TIOCOUTQ, b"\0\0\0\0"))[0]  # type: ignore[no-any-return]
    except OSError:
        return waiting


def set_protocol(transport: Any, protocol: Any) -> None:
    """From now on `protocol` gets what comes in."""
    if isinstance(transport, ProtocolWrapper):
        transport.wrappedProtocol = protocol
    else:
        transport.protocol = protocol


def protocol_of(transport: Any) -> Any:
    """Who gets what comes in."""
    return transport.wrappedProtocol if isinstance(transport, ProtocolWrapper) else transport.protocol
