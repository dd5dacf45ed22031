"""Counts and logs X-Forwarded-For from peers that `trusted_proxies` does not name.

A proxy that is not named makes all its visitors count as one address, and the 31st of them is refused. The log says what to
write in the configuration.
"""

from collections.abc import Callable

from twisted.logger import Logger

from cometify.core.client_network import address_of

MOST = 100
"""Peers that are told in the life of this process. Anybody can send the header, so the log must be bounded."""
PAUSE = 60
"""Seconds between two lines of the log."""

log = Logger()


class UntrustedProxies:
    """`seconds`: a clock that never goes back. `ignored`: requests whose X-Forwarded-For was ignored."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.ignored = 0
        self._seconds = seconds
        self._told: set[str] = set()
        self._told_at = 0.0

    def note(self, host: str) -> None:
        """Count, and log this peer once if nothing was logged within the last minute."""
        self.ignored += 1
        network = address_of(host)
        now = self._seconds()
        if network in self._told or len(self._told) >= MOST or (self._told and now - self._told_at < PAUSE):
            return
        self._told.add(network)
        self._told_at = now
        log.warn(  # noqa: G010 - this is Twisted's
            "X-Forwarded-For came from {network}, which is not in trusted_proxies, so it was ignored: all visitors behind "
            "this address count as one. If it is your proxy, add it to the configuration: "
            'trusted_proxies = ["{network}"]. If it is not, ignore this line.',
            network=network,
        )
