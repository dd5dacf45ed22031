"""What the layers promise each other, in prose.

typing.Protocol and not zope.interface: these are ours alone, and mypy then checks every implementation by itself.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import attrs
from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.core.push import Draft, Push
from cometify.core.ring import Channel, RingBuffer


class IAnnounce(Protocol):
    """Where an engine reports a push, once, in the order of positions, after its ring has it."""

    def __call__(self, ring: RingBuffer, push: Push) -> None: ...


@attrs.frozen
class Stock:
    """What an engine has now: `pushes` kept, the `bytes` of their frames, and how many channels it follows."""

    pushes: int
    bytes: int
    followed: int


class IEngine(Protocol):
    """What keeps pushes, and numbers them: positions grow strictly over all identifiers of an account."""

    def append(self, account: Account, draft: Draft) -> Deferred[Push]:
        """Number, keep and announce a push: one step, nothing of it is seen before all of it is done.

        The Deferred fires once the engine has the push, and never waits for listeners. Fails with `Refused`:
        signature_reused, nonce_reused, engine_unavailable (it may have been pushed all the same).
        """

    def follow(self, account: Account, reach: Callable[[int], Mapping[str, int]]) -> Deferred[Mapping[str, RingBuffer]]:
        """Have what is kept of some channels, and what will come.

        The engine tells `reach` its position; that answers, for each identifier (lower case), from which position on
        its ring must be complete. The rings are complete from there or from their floor on when the Deferred fires, and
        every push above the position told is announced. Fails with `Refused` (engine_unavailable).
        """

    def unfollow(self, channel: Channel) -> None:
        """Nobody listens on the channel any more. It stays followed for a while: page loads come in bursts."""

    def follows(self, channel: Channel) -> bool:
        """Whether the channel costs nothing more to follow."""

    def mark(self, api_key: str) -> int:
        """The time of the account: everything up to it has been announced, and no later push gets it or less."""

    def stock(self) -> Stock:
        """What there is now, for who watches the server. It may look at every channel, so it is asked at each look only."""

    @property
    def available(self) -> bool:
        """Whether pushes are taken."""


class IAccounts(Protocol):
    """The accounts of this server."""

    def get(self, api_key: str) -> Account | None:
        """The account of an API key, or None."""
