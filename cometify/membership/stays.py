"""Figures of listeners that stay: how long they are connected, and the replays of those that come back."""

from collections import Counter

from cometify.core.histogram import SIZES, STAYS, Histogram
from cometify.core.listen_request import ListenRequest
from cometify.core.listener import Listener


class Stays:
    """`durations`: seconds for which listeners were joined, of transports that stay open, observed when they leave.

    `resumed` counts joins that name a position, by transport. `replays`: bytes of the pushes in the rings that such a join,
    or one with an internal id, may be owed. A poll that names a position is in neither, because each but the first does so.
    """

    def __init__(self) -> None:
        self.durations = Histogram(STAYS)
        self.replays = Histogram(SIZES)
        self.resumed: Counter[str] = Counter()

    def came_back(self, listener: Listener, request: ListenRequest, size: int) -> None:
        """Count a first join that does not begin now. `size`: the bytes that its replay can have."""
        self.replays.observe(size)
        if any(group.position is not None for group in request.groups):
            self.resumed[listener.encoding.name] += 1

    def left(self, listener: Listener, seconds: int) -> None:
        """Count a listener that leaves after so many seconds. A poll ends with its answer, so it does not count."""
        if not listener.encoding.once:
            self.durations.observe(seconds)
