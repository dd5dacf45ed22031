"""The description of an attack: the bytes that it sends, on how many connections, and the harm that it may do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True)
class Bounds:
    """The most that an attack may cost others.

    `p99` is the good client's 99th percentile from push to frame, in seconds. `memory` is the growth of the server's
    resident memory at its peak, in bytes. `turn` is the CPU time of the longest turn of the event loop, in seconds.
    """

    p99: float = 0.020
    memory: int = 64 * MEGABYTE
    turn: float = 0.025


@dataclass(frozen=True)
class Attack:
    """Bytes that strangers send to the public port, as fast as it takes them.

    `payload(n)` returns the n-th payload of a connection. It is sent again and again, unless `then` says otherwise:

    - `"repeat"`: the next payload follows at once.
    - `"reconnect"`: the connection is closed when the server has answered something, and a new one is opened.
    - `"hold"`: nothing more is sent, and the connection stays open.
    - `"stay"`: the same, and a new one is opened when the server has answered something, until there are `most`.

    `opening` is sent first, and the payloads follow when the server has answered it. If `reads` is false, nothing that
    the server sends is read. `port` is `http` or `tls`; on both, the bytes are sent as they are.
    """

    name: str
    payload: Callable[[int], bytes]
    opening: bytes = b""
    then: str = "repeat"
    reads: bool = True
    connections: int = 10
    most: int = 0
    port: str = "http"
    bounds: Bounds = Bounds()
