"""Bounds on the connections that the public ports of a process accept, before anything is read from them.

The connections of one address are bounded, so that no single client takes all file descriptors. The last descriptors are
kept in reserve, so that the admin endpoint, Redis and webhooks still get one while the public ports are full. Webhooks have a
part of their own, because their receivers may be strangers too.

The kernel gives each new socket the lowest number that is free. If this number is within the reserve, all
numbers below it are in use. So nothing needs to be counted.
"""

import resource
from collections.abc import Callable
from functools import lru_cache

from twisted.logger import Logger

from cometify.config.readers import Network
from cometify.core.client_network import address_of, is_in
from cometify.runtime.left_peers import LEFT, LeftPeers

log = Logger()

MOST_IN_RESERVE = 64
"""File descriptors that the public ports leave to the admin endpoint and to Redis, or a sixteenth of all if that is less."""
MOST_FOR_WEBHOOKS = 256
"""File descriptors that the public ports leave to webhooks, or a sixteenth of all if that is less."""
NO_LIMIT = 2**30
"""File descriptors of a process that has no limit."""
LOG_EVERY = 60
"""Seconds between two lines of the log that tell of refused connections."""


def most_descriptors() -> int:
    """The file descriptors that this process may have (`ulimit -n`)."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return NO_LIMIT if soft == resource.RLIM_INFINITY else soft


def _reserve() -> int:
    return min(MOST_IN_RESERVE, most_descriptors() // 16)


def webhook_descriptors() -> int:
    """The file descriptors that requests to webhooks may use."""
    return min(MOST_FOR_WEBHOOKS, most_descriptors() // 16)


def public_descriptors() -> int:
    """The file descriptors that the public ports may use."""
    return most_descriptors() - _reserve() - webhook_descriptors()


def admin_connections() -> int:
    """The connections that the admin endpoint may have: half of the reserve. The rest is for Redis, files and look-ups."""
    return max(2, _reserve() // 2)


class ConnectionLimits:
    """The bounds of ports that count together.

    `per_address`: connections that one address may have at once, 0 for any number. An IPv6 /64 counts as one address.
    `trusted`: proxies, which may have any number. `descriptors`: file descriptors that these ports may use. `seconds`: a
    clock that never goes back. `left`: finds connections that come too late, None if all are served.

    `refused_address`, `refused_descriptors`: the connections that were closed at once, by the bound.
    """

    def __init__(
        self,
        per_address: int,
        trusted: tuple[Network, ...],
        descriptors: int,
        seconds: Callable[[], float],
        left: LeftPeers | None = LEFT,
    ) -> None:
        self._per_address = per_address
        self._trusted = trusted
        self._first_in_reserve = descriptors
        self._seconds = seconds
        self._left = left
        self._open: dict[str, int] = {}
        self._counted_as = lru_cache(4096)(self._network_of)
        self.refused_address = 0
        self.refused_descriptors = 0
        self._logged_at = -float(LOG_EVERY)
        self._logged = 0

    def admits(self, host: str, descriptor: int) -> bool:
        """Count a new connection from `host`, or return False if it is one too many or too late, and must be closed."""
        if descriptor >= self._first_in_reserve:
            self.refuse_for_descriptors()
            return False
        if self._left is not None and self._left.comes_too_late(descriptor):
            return False
        network = self._counted_as(host) if self._per_address else None
        if network is None:
            return True
        count = self._open.get(network, 0)
        if count >= self._per_address:
            self.refused_address += 1
            self._log(
                f"one address had {self._per_address} connections already. If it is your proxy, name it in trusted_proxies; "
                "else raise connections_per_ip"
            )
            return False
        self._open[network] = count + 1
        return True

    def refuse_for_descriptors(self) -> None:
        """Count a connection that was closed because there is no file descriptor for it."""
        self.refused_descriptors += 1
        self._log("all file descriptors but the reserve are in use. Raise LimitNOFILE (ulimit -n)")

    def closed(self, host: str) -> None:
        """Count a connection that was admitted as closed."""
        network = self._counted_as(host) if self._per_address else None
        if network is not None:
            count = self._open[network] - 1
            if count:
                self._open[network] = count
            else:
                del self._open[network]

    def _network_of(self, host: str) -> str | None:
        """The network that an address is counted as, None for a trusted proxy.

        An IPv4 address is returned as it is, which costs no memory and no time: the kernel spells it in one way.
        """
        if self._trusted and is_in(host, self._trusted):
            return None
        return address_of(host) if ":" in host else host

    def _log(self, reason: str) -> None:
        """Tell of refused connections once in `LOG_EVERY` seconds, and never whose they were."""
        now = self._seconds()
        if now - self._logged_at < LOG_EVERY:
            return
        refused = self.refused_address + self.refused_descriptors
        log.warn(  # noqa: G010 - this is Twisted's
            "Refused {count} connections since the last such line, the last one because {reason}.",
            count=refused - self._logged,
            reason=reason,
        )
        self._logged_at, self._logged = now, refused
