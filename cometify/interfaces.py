"""What the layers promise each other, in prose.

typing.Protocol and not zope.interface: these are ours alone, and mypy then checks every implementation by itself.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import attrs
from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.core.push import Draft, Push, Receipt
from cometify.core.quota import ClientKey
from cometify.core.ring import Channel, RingBuffer


class IAnnounce(Protocol):
    """Where an engine reports a push, once, in the order of positions, after its ring has it."""

    def __call__(self, ring: RingBuffer, push: Push) -> None: ...


class ILost(Protocol):
    """Where an engine reports that what it had of a channel, up to the ring's floors, is not to be had any more."""

    def __call__(self, ring: RingBuffer) -> None: ...


@attrs.frozen
class EngineStats:
    """What an engine has now: `pushes` kept, the `bytes` of their frames, and how many channels it follows."""

    pushes: int
    bytes: int
    followed: int


class IEngine(Protocol):
    """What keeps pushes, and numbers them: positions grow strictly over all identifiers of an account."""

    @property
    def slots(self) -> "ISlots | None":
        """What counts places over all nodes; None if there is only this one."""

    def start(self) -> None:
        """The server starts."""

    def stop(self) -> None:
        """The server is drained and ends."""

    def append(self, account: Account, draft: Draft) -> Receipt | Deferred[Receipt]:
        """Number, keep and announce a push: one step, nothing of it is seen before all of it is done.

        An engine that has the push at once says so at once: a Deferred and its callbacks cost as much as the push. Else
        it fires once the engine has it. Neither waits for listeners. One with a key that was used within ten minutes is
        not pushed again, and what was told then is told again. Raises, or fails with, `Refused`:
        idempotency_mismatch, nonce_reused, signature_reused, overloaded (nothing was pushed), engine_unavailable (it may
        have been pushed all the same: with a key it can be pushed again).
        """

    def follow(
        self, account: Account, reach: Callable[[int], Mapping[str, int]]
    ) -> Mapping[str, RingBuffer] | Deferred[Mapping[str, RingBuffer]]:
        """Have what is kept of some channels, and what will come; at once, where the engine has them at once.

        The engine tells `reach` its position; that answers, for each identifier (lower case), from which position on
        its ring must be complete. An engine that must ask elsewhere does so twice: first with a position that may be
        lower, to learn what to ask for, then with the one that counts, right before the Deferred fires. Then the rings
        are complete from there or from their floor on, and every push above the position told is announced. Fails with
        `Refused` (engine_unavailable).
        """

    def unfollow(self, channel: Channel) -> None:
        """Nobody listens on the channel any more. It stays followed for a while: page loads come in bursts."""

    def follows(self, channel: Channel) -> bool:
        """Whether the channel costs nothing more to follow."""

    def watermark(self, api_key: str) -> int:
        """The time of the account: everything up to it has been announced, and no later push gets it or less."""

    def peek(self, channel: Channel) -> RingBuffer | None:
        """What this process has of a channel now, for who looks into the server; not to be changed, nor to be kept."""

    def stats(self) -> EngineStats:
        """What there is now, for who watches the server. It may look at every channel, so it is asked at each look only."""

    def expire(self) -> bool:
        """Forget a bounded part of what is too old. Returns whether more is due. Nothing is told wrongly if that is late."""

    @property
    def available(self) -> bool:
        """Whether pushes are taken and listeners can join."""


class ISlots(Protocol):
    """The places of an address's listeners, counted over all nodes."""

    def watch(self, moved: Callable[[ClientKey, str], None]) -> None:
        """Have `moved(household, listener)` called when a listener that has a place here takes it at another node."""

    def name(self, number: int) -> str:
        """An id for a listener that has none of its own, which no other node gives."""

    def take(self, client_key: ClientKey, account: Account, listener: str) -> Deferred[None]:
        """Give a place to a listener, wherever it had one before. Fails with `Refused`: too_many_listeners,
        engine_unavailable.
        """

    def leave(self, client_key: ClientKey, listener: str) -> None:
        """The listener is gone from here."""


class IAccounts(Protocol):
    """The accounts of this server."""

    def get(self, api_key: str) -> Account | None:
        """The account of an API key, or None."""
