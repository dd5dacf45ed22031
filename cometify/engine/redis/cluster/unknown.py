"""The engine of an account while the map of the slots is not known. Requests wait for the map, as for the first contact."""

from collections.abc import Callable, Collection, Mapping
from math import inf
from typing import TYPE_CHECKING, TypeVar

from twisted.internet import defer
from twisted.internet.defer import Deferred, succeed

from cometify.core.account import Account
from cometify.core.identifier_page import AskedNames, IdentifierDetails, IdentifierPage
from cometify.core.push import Draft, Receipt
from cometify.core.push_page import AskedPushes, PushPage
from cometify.core.quota import ClientKey
from cometify.core.revocation import Disconnect
from cometify.core.ring import Channel, RingBuffer
from cometify.core.webhook_events import Report, Taken
from cometify.engine.redis import unavailable
from cometify.engine.redis.first_contact import FirstContact
from cometify.runtime.reactor import Clock

if TYPE_CHECKING:
    from cometify.engine.redis.engine import RedisEngine

T = TypeVar("T")


class UnknownEngine:
    """`engine_of(api_key)`: the engine of an account, once the map is known."""

    def __init__(self, clock: Clock, engine_of: Callable[[str], "RedisEngine"]) -> None:
        self._contact = FirstContact(clock, lambda: None)
        self._of = engine_of
        self.queries = _UnknownQueries(self._contact, engine_of)
        self.slots = _UnknownSlots(self._contact, engine_of)
        self.webhooks = _UnknownWebhooks()
        self.go_on, self.close = self._contact.redis_is_there, self._contact.close
        self.until = self._contact.latest

    def append(self, account: Account, draft: Draft) -> Deferred[Receipt]:
        waited = self._contact.wait(unavailable.nothing_pushed)
        return waited.addCallback(lambda _none: self._of(account.api_key).append(account, draft))

    def disconnect(self, account: Account, disconnect: Disconnect, at: int, nonce: str | None) -> Deferred[int]:
        waited = self._contact.wait(unavailable.nobody_disconnected)
        return waited.addCallback(lambda _none: self._of(account.api_key).disconnect(account, disconnect, at, nonce))

    def revoked_at(self, _api_key: str, _subject: str) -> float:
        return -inf

    def follow(
        self, account: Account, reach: Callable[[int], Mapping[str, int]], secret: Collection[str] = ()
    ) -> Deferred[Mapping[str, RingBuffer]]:
        waited = self._contact.wait(unavailable.not_followed)
        return waited.addCallback(lambda _none: self._of(account.api_key).follow(account, reach, secret))

    def unfollow(self, channel: Channel) -> None:
        """Nothing is followed yet."""

    def position(self, account: Account) -> Deferred[int]:
        waited = self._contact.wait(unavailable.not_followed)
        return waited.addCallback(lambda _none: self._of(account.api_key).position(account))

    def watermark(self, _api_key: str) -> int:
        return 0

    def peek(self, _channel: Channel) -> RingBuffer | None:
        return None


class _UnknownQueries:
    def __init__(self, contact: FirstContact, engine_of: Callable[[str], "RedisEngine"]) -> None:
        self._contact = contact
        self._of = engine_of

    def _ask(self, call: Callable[[], Deferred[T]]) -> Deferred[T]:
        return self._contact.wait(unavailable.not_followed).addCallback(lambda _none: call())

    def use_nonce(self, account: Account, nonce: str) -> Deferred[None]:
        return self._ask(lambda: self._of(account.api_key).queries.use_nonce(account, nonce))

    def pushes(self, account: Account, identifier: str, asked: AskedPushes) -> Deferred[PushPage]:
        return self._ask(lambda: self._of(account.api_key).queries.pushes(account, identifier, asked))

    def identifiers(self, account: Account, asked: AskedNames) -> Deferred[IdentifierPage]:
        return self._ask(lambda: self._of(account.api_key).queries.identifiers(account, asked))

    def identifier(self, account: Account, identifier: str) -> Deferred[IdentifierDetails]:
        return self._ask(lambda: self._of(account.api_key).queries.identifier(account, identifier))


class _UnknownSlots:
    def __init__(self, contact: FirstContact, engine_of: Callable[[str], "RedisEngine"]) -> None:
        self._contact = contact
        self._of = engine_of
        self._wanted: set[tuple[ClientKey, str]] = set()

    def take(self, client_key: ClientKey, account: Account, listener: str) -> Deferred[None]:
        self._wanted.add((client_key, listener))
        waited = self._contact.wait(unavailable.not_followed)
        return waited.addCallback(lambda _none: self._take(client_key, account, listener))

    def _take(self, client_key: ClientKey, account: Account, listener: str) -> Deferred[None]:
        if (client_key, listener) not in self._wanted:
            return succeed(None)  # the listener has left while it waited
        self._wanted.discard((client_key, listener))
        return self._of(account.api_key).slots.take(client_key, account, listener)

    def leave(self, client_key: ClientKey, listener: str) -> None:
        self._wanted.discard((client_key, listener))


class _UnknownWebhooks:
    """The calls fail, and are made again."""

    def report(self, _api_key: str, _report: Report, *, again: bool) -> Deferred[bool]:
        return defer.fail(unavailable.not_followed())

    def take(self, _api_key: str) -> Deferred[Taken]:
        return defer.fail(unavailable.not_followed())

    def done(self, _api_key: str, _number: int, *, given_up: bool) -> Deferred[None]:
        return defer.fail(unavailable.not_followed())

    def forget(self, api_key: str) -> None:
        """Nothing is kept."""
