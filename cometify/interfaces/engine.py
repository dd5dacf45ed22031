"""The contracts of the engines, of the slots that nodes share, and of the accounts."""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.core.push import Draft, Push, Receipt
from cometify.core.quota import ClientKey
from cometify.core.revocation import Disconnect
from cometify.core.ring import Channel, RingBuffer
from cometify.core.view import View
from cometify.core.webhook_events import Report, Taken
from cometify.interfaces.figures import EngineStats, RedisHealth
from cometify.interfaces.questions import INodes, IQueries, IUsageBook


class IAnnounce(Protocol):
    """A function that an engine calls with every push of a followed channel.

    Each push is announced once, in the order of positions over all channels of the account, after its ring has it.
    """

    def __call__(self, ring: RingBuffer, push: Push) -> None: ...


class ILost(Protocol):
    """A function that an engine calls when pushes of a followed channel, up to the ring's floors, can no longer be had."""

    def __call__(self, ring: RingBuffer) -> None: ...


class IDisconnect(Protocol):
    """A function that an engine calls to end connections of this node.

    `issued_before`: end only connections whose token was issued before that time (Unix seconds); inf: end all. `at_once`: end
    all connections of a subject before this returns. The Deferred fires with the number of the connections that end.
    """

    def __call__(
        self, api_key: str, disconnect: Disconnect, issued_before: float, *, at_once: bool = False
    ) -> Deferred[int]: ...


class IEngine(Protocol):
    """A store that keeps pushes and numbers them.

    Positions strictly grow over all identifiers of an account, on all nodes together. Different accounts are independent.
    """

    @property
    def queries(self) -> IQueries:
        """The questions that a back end can ask."""

    @property
    def usage(self) -> IUsageBook:
        """The usage of accounts."""

    @property
    def nodes(self) -> INodes:
        """All nodes of this service."""

    @property
    def slots(self) -> "ISlots | None":
        """The slots that all nodes count together, or None if there is only this node."""

    @property
    def webhooks(self) -> "IWebhookEvents":
        """The events that wait for the webhooks of accounts."""

    @property
    def available(self) -> bool:
        """True if pushes are accepted and listeners can join."""

    def why_not_ready(self) -> str | None:
        """The reason for /health/ready why no work should be sent here, or None."""

    def redis_health(self) -> tuple[RedisHealth, ...]:
        """The state of each Redis. Empty if pushes are kept in this process."""

    def start(self) -> None:
        """Begin to work. Called once, when the server starts."""

    def level_with(self, count: Callable[[], int], send_away: Callable[[int], object]) -> None:
        """Keep `count()`, the listeners here, alike on all nodes by `send_away(number)`. Called once, before `start`."""

    def leave(self) -> "Deferred[bool]":
        """Say that this node is about to end. Called once, when the server begins to drain.

        Fires with True if other nodes have the same pushes and are not about to end, or if that cannot be told.
        """

    def stop(self) -> None:
        """Let go of connections. Called once, when the server has drained."""

    def append(self, account: Account, draft: Draft) -> Receipt | Deferred[Receipt]:
        """Number a push, keep it and announce it.

        Returns a Receipt if the engine has the push at once, because a Deferred and its callbacks cost as much as the push
        itself. Otherwise the Deferred fires when the engine has the push. Neither waits for listeners.

        A draft whose `key` was used within the last ten minutes is not pushed again: its Receipt is the first one, with
        `duplicate` set.

        Raises `Refused`, or fails with it. Nothing was pushed with: idempotency_mismatch, nonce_reused, signature_reused,
        too_many_pushes, overloaded. With engine_unavailable the draft may have been pushed; with a `key` it can be pushed
        again safely.
        """

    def follow(
        self, account: Account, reach: Callable[[int], Mapping[str, int]], secret: Collection[str] = (), /
    ) -> Mapping[str, RingBuffer] | Deferred[Mapping[str, RingBuffer]]:
        """Follow channels: return their rings, complete from the positions asked for, and announce what comes.

        `reach` is called with the engine's position and returns, for each identifier, the position from which on its ring
        must be complete. An engine that keeps pushes elsewhere calls `reach` twice: first with a position that may be
        lower, to learn what to read, and then with the position that counts, directly before the Deferred fires.

        `secret`: the identifiers whose secret pushes somebody waits for. Those of others need not be complete, and their
        number must not change the time that this takes.

        Each ring is then complete from the position asked for, or from its floor if that is higher, and every push above
        the position that `reach` was last called with is announced.

        Returns the rings, by identifier, if the engine has them at once. The Deferred fails with `Refused`
        (engine_unavailable).
        """

    def unfollow(self, channel: Channel) -> None:
        """Say that nobody listens on a channel here.

        The channel stays followed for `cometify.engine.UNFOLLOW_DELAY`, because page loads come in bursts.
        """

    def watch_disconnects(self, disconnect: IDisconnect) -> None:
        """Call `disconnect` whenever connections of this node must end. Called once, before `start`."""

    def disconnect(self, account: Account, disconnect: Disconnect, at: int, nonce: str | None) -> Deferred[int]:
        """End connections on all nodes, and revoke the subject if it is a subject's: see `cometify.core.revocation`.

        `at`: the time of the revocation, in Unix seconds. `nonce`: the nonce of the signed request, which is used up.

        The Deferred fires with the number of the connections that end, on all nodes that have told it within a second. It
        fails with `Refused`: nonce_reused, too_many_pushes (see `request_memory`), or engine_unavailable.
        """

    def revoked_at(self, api_key: str, subject: str) -> float:
        """Return the time before which tokens of a subject must have been issued to be refused. -inf: none is.

        Whatever was revoked before a channel's rings were given by `follow` is known as long as the channel is followed.
        """

    def position(self, account: Account, /) -> int | Deferred[int]:
        """Ask for the newest position of an account that listeners may be told: all pushes up to it were announced.

        No later push gets it or a lower one. It is as of the call or later, and an engine that keeps pushes elsewhere asks
        there. Returns the position if the engine has it at once. The Deferred fails with `Refused` (engine_unavailable).
        """

    def watermark(self, api_key: str) -> int:
        """Return a position up to which every push of the account was announced. No later push gets it or a lower one."""

    def peek(self, channel: Channel) -> RingBuffer | None:
        """Return what this process has of a channel, for an inspection. Must not be changed, nor kept."""

    def stats(self) -> EngineStats:
        """Count what there is, for the metrics. Looks at every channel with a push, so it is called for each scrape only."""

    def expire(self) -> bool:
        """Forget a bounded part of what is too old.

        Returns whether more may be due. Then it is called again in the next turn of the reactor, else after some seconds.
        Nothing is told wrongly if that is late: no replay has pushes that it should not have, and no gap is told for them.
        """


class ISlots(Protocol):
    """The slots of an address's listeners, counted over all nodes."""

    def watch(self, moved: Callable[[ClientKey, str], None]) -> None:
        """Call `moved(client_key, listener)` whenever a listener that has a slot here takes it at another node."""

    def name(self, number: int) -> str:
        """Return an id for a listener that has none of its own. No other node gives the same one."""

    def take(self, client_key: ClientKey, account: Account, listener: str) -> Deferred[None]:
        """Give a slot to a listener id, which gives up the slot that it may have at another node.

        Fails with `Refused`: too_many_listeners, or engine_unavailable.
        """

    def leave(self, client_key: ClientKey, listener: str) -> None:
        """Free the slot of a listener that is gone from this node."""


class IWebhookEvents(Protocol):
    """The events of accounts with a webhook, from all nodes. A call that fails (with `Refused`) can be repeated."""

    def report(self, api_key: str, report: Report, *, again: bool) -> Deferred[bool]:
        """Note what has changed at this node. Fires with False if nothing was, because all must be reported `again`."""

    def take(self, api_key: str) -> Deferred[Taken]:
        """Ask for events to be sent. Must be called every few seconds, because it tells that this node is alive."""

    def done(self, api_key: str, number: int, *, given_up: bool) -> Deferred[None]:
        """End the batch whose last event has this id: the receiver has it, or it is given up."""

    def forget(self, api_key: str) -> None:
        """Forget the events of an account that has no webhook any longer."""


class IAccounts(Protocol):
    """The accounts of this server."""

    def get(self, api_key: str) -> Account | None:
        """Return the account of an API key, or None if there is none. It may be suspended."""

    def find(self, api_key: str) -> Account | None:
        """Return the account of an API key for somebody who uses it, or None if there is none.

        Raises `Refused`: account_suspended; engine_unavailable if the accounts are not known yet.
        """


class IAppend(Protocol):
    """The part of an engine that takes pushes."""

    def append(self, account: Account, draft: Draft) -> Receipt | Deferred[Receipt]:
        """See `IEngine.append`."""


class IDeliveryTrace(Protocol):
    """A watcher of the fan-out."""

    def written(self, view: View, deliveries: int, *, is_over: bool) -> None:
        """A part of a pass was written: so many deliveries. `is_over`: all live listeners of the view are at its head."""
