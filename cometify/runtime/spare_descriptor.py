"""A file descriptor in reserve, for a port that has no other left."""

import os
import socket


class SpareDescriptor:
    """A file descriptor that is given up for a moment, to close a connection that waits when there is no other.

    So the peer learns that it must go elsewhere, and the port does not stay ready in vain.
    """

    def __init__(self) -> None:
        self._number = self._open()

    def _open(self) -> int:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give the descriptor up for good."""
        os.close(self._number)
        self._number = -1

    def accept_and_close(self, listening: socket.socket) -> None:
        """Raises OSError like `socket.accept`."""
        if self._number >= 0:
            os.close(self._number)
        self._number = -1
        try:
            connection, _address = listening.accept()
            connection.close()
        finally:
            self._number = self._open()
