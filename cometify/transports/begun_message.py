"""A WebSocket message of which a part has arrived, and the time that it has left."""

from collections.abc import Callable

from cometify.websocket.frame_reader import FrameReader

MESSAGE_WITHIN = 30
"""Seconds in which a message that has begun must be whole. The longest one has 16 KiB."""


class BegunMessage:
    """`reader` has the part that has arrived. `is_late()`: called if the rest takes too long.

    `seen`, `due`: see `idle_timeout.TimesOut`. It exists only while the message is incomplete, because most listeners never
    send another one.
    """

    __slots__ = ("_is_late", "due", "reader", "seen")

    def __init__(self, reader: FrameReader, is_late: Callable[[], None]) -> None:
        self._is_late = is_late
        self.reader = reader
        self.seen = 0.0
        self.due = 0

    def timeoutConnection(self) -> None:
        """End the listener: its message takes too long."""
        self._is_late()
