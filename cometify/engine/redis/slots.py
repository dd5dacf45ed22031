"""The places of listeners, counted over all nodes: see `ISlots`."""

import json
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed

from cometify.core import quota
from cometify.core.account import Account
from cometify.core.quota import ClientKey
from cometify.engine.redis.scripts import FREE_SLOT, TAKE_SLOT

SAY_AGAIN = 900.0
"""Seconds after which a node says again what it holds: Redis forgets it after an hour."""

Run = Callable[..., "Deferred[Any] | None"]
SlotKey = tuple[ClientKey, str]


@attrs.define(eq=False)
class _Holding:
    """A place that is held here. Times are Redis's, in microseconds: `since` when, and when the listener was `elsewhere`
    last. `asked`: so many answers of Redis's are still to come, before which the two cannot be compared.
    """

    asked: int = 0
    since: int = 0
    elsewhere: int = 0


class RedisSlots:
    """`run(script, api_key, ...)` runs a script on an account, and gives None while Redis is away; `node` is who we are,
    `nodes` what the channel of every node begins with.

    It knows what this node holds, to say it again to a Redis that has forgotten it.
    """

    def __init__(self, run: Run, node: str, nodes: str) -> None:
        self._run = run
        self._node = node
        self._nodes = nodes
        self._held: dict[SlotKey, _Holding] = {}
        self._left: set[SlotKey] = set()  # who has left, which Redis has not answered for yet
        self._moved: Callable[[ClientKey, str], None] | None = None

    def watch(self, moved: Callable[[ClientKey, str], None]) -> None:
        self._moved = moved

    def name(self, number: int) -> str:
        return f"#{self._node}:{number}"

    def take(self, client_key: ClientKey, account: Account, listener: str) -> "Deferred[None]":
        key = client_key, listener
        self._left.discard(key)
        holding = self._held.setdefault(key, _Holding())
        answered = self._slot(key, holding, account.listeners_per_ip, b"")
        if answered is None:
            return succeed(None)  # while Redis is away each node counts for itself
        return answered.addCallback(self._placed, key, account)

    def _slot(self, key: SlotKey, holding: _Holding, most: int, since: bytes | int) -> "Deferred[Any] | None":
        (api_key, address), listener = key
        answered = self._run(TAKE_SLOT, api_key, address, listener, self._node, most, self._nodes, api_key, since)
        if answered is None:
            return None
        holding.asked += 1
        return answered.addBoth(self._answered, key, holding)

    def _answered(self, answer: Any, key: SlotKey, holding: _Holding) -> Any:
        holding.asked -= 1
        if isinstance(answer, bytes) and answer.isdigit():
            holding.since = max(holding.since, int(answer))
            self._compare(key, holding)
        return answer

    def _compare(self, key: SlotKey, holding: _Holding) -> None:
        if not holding.asked and holding.elsewhere > holding.since and self._held.get(key) is holding:
            self._has_moved(key)

    def _placed(self, answer: bytes, key: SlotKey, account: Account) -> None:
        if answer == b"full":
            self._held.pop(key, None)
            raise quota.too_many(account)

    def leave(self, client_key: ClientKey, listener: str) -> None:
        if self._held.pop((client_key, listener), None) is None:
            return
        self._left.add((client_key, listener))
        self._leave((client_key, listener))

    def _leave(self, key: SlotKey) -> None:
        (api_key, address), listener = key
        answered = self._run(FREE_SLOT, api_key, address, listener, self._node)
        if answered is not None:
            answered.addCallbacks(
                lambda _answer: self._left.discard(key), lambda _failure: None
            )  # else it is said again

    def say_again(self, api_key: str | None = None) -> None:
        """Tell Redis what is held here, of one account or of all, and who has left while it was away. Nobody loses a place
        by it but who has moved since.
        """
        for key in list(self._left):
            self._leave(key)
        for key, holding in list(self._held.items()):
            if holding.since and (api_key is None or key[0][0] == api_key):  # else it is being asked for
                answered = self._slot(key, holding, 0, holding.since)
                if answered is not None:
                    answered.addCallback(self._said, key, holding)
                    answered.addErrback(lambda _failure: None)  # with the connection: it will be said again

    def _said(self, answer: bytes, key: SlotKey, holding: _Holding) -> None:
        if answer == b"moved" and not holding.asked and self._held.get(key) is holding:
            self._has_moved(key)

    def heard(self, text: bytes) -> None:
        """A listener of this node has come to another; or had, if it is back already."""
        api_key, address, listener, time = json.loads(text)
        key = (api_key, address), listener
        holding = self._held.get(key)
        if holding is not None:
            holding.elsewhere = max(holding.elsewhere, int(time))
            self._compare(key, holding)

    def _has_moved(self, key: SlotKey) -> None:
        if self._moved is not None and self._held.pop(key, None) is not None:
            self._moved(*key)
