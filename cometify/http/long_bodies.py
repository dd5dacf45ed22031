"""Bounds the memory of all long bodies together that have begun and are not whole.

A batch may have 8 MiB, and its sender is known only when it is whole. So one address with 2,000 connections could have 16 GiB
kept for it. An honest body is whole soon after it has begun, and a body that is only there to be kept is not. So if there is
too much, the body that began first goes, and its connection is cut.
"""

from typing import Protocol

LONG = 64 * 1024
"""Bytes of a body above which it counts. Shorter ones are bounded by the number of connections."""
MOST_TOGETHER = 256 * 2**20
"""Bytes of all long bodies: 32 of the longest batches at once."""


class HasBody(Protocol):
    """A connection on which a body comes."""

    def drop_body(self) -> None:
        """Cut the connection: its body takes too long while there are too many others."""


class LongBodies:
    """The bodies that are being received, with their sizes. `most`: the bytes of all long ones together."""

    def __init__(self, most: int = MOST_TOGETHER) -> None:
        self._most = most
        self._sizes: dict[HasBody, int] = {}
        self._long: dict[HasBody, None] = {}  # in the order in which they became long
        self._together = 0

    def grow(self, connection: HasBody, size: int) -> None:
        """Add `size` bytes to the body of a connection. Cuts the connections with the oldest long bodies if need be."""
        before = self._sizes.get(connection, 0)
        self._sizes[connection] = after = before + size
        if after <= LONG:
            return
        self._long[connection] = None
        self._together += size if before > LONG else after
        while self._together > self._most:
            oldest = next(iter(self._long))
            self.end(oldest)
            oldest.drop_body()

    def end(self, connection: HasBody) -> None:
        """Forget the body of a connection: it is whole, or the connection is lost."""
        size = self._sizes.pop(connection, 0)
        if size > LONG:
            del self._long[connection]
            self._together -= size
