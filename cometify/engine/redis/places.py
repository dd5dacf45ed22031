"""The places of listeners, counted over all nodes: see `IPlaces`."""

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed

from cometify.core import census
from cometify.core.account import Account
from cometify.core.census import Household
from cometify.engine.redis.scripts import LEAVE, PLACE

SAY_AGAIN = 900.0
"""Seconds after which a node says again what it holds: Redis forgets it after an hour."""

Run = Callable[..., "Deferred[Any] | None"]


class RedisPlaces:
    """`run(script, api_key, ...)` runs a script on an account, and gives None while Redis is away; `node` is who we are,
    `nodes` what the channel of every node begins with.

    It knows what this node holds, to say it again to a Redis that has forgotten it.
    """

    def __init__(self, run: Run, node: str, nodes: str) -> None:
        self._run = run
        self._node = node
        self._nodes = nodes
        self._held: set[tuple[Household, str]] = set()
        self._moved: Callable[[Household, str], None] | None = None

    def watch(self, moved: Callable[[Household, str], None]) -> None:
        self._moved = moved

    def name(self, number: int) -> str:
        return f"#{self._node}:{number}"

    def take(self, household: Household, account: Account, listener: str) -> "Deferred[None]":
        self._held.add((household, listener))
        answered = self._place(household, listener, account.listeners_per_ip, b"")
        if answered is None:
            return succeed(None)  # while Redis is away each node counts for itself
        return answered.addCallback(self._placed, household, account, listener)

    def _place(self, household: Household, listener: str, most: int, again: bytes) -> "Deferred[Any] | None":
        api_key, address = household
        return self._run(PLACE, api_key, address, listener, self._node, most, self._nodes, api_key, again)

    def _placed(self, answer: bytes, household: Household, account: Account, listener: str) -> None:
        if answer == b"full":
            self._held.discard((household, listener))
            raise census.too_many(account)

    def leave(self, household: Household, listener: str) -> None:
        if (household, listener) not in self._held:
            return
        self._held.remove((household, listener))
        api_key, address = household
        answered = self._run(LEAVE, api_key, address, listener, self._node)
        if answered is not None:
            answered.addErrback(lambda _failure: None)  # it is lost with the connection, and the place free soon

    def say_again(self, api_key: str | None = None) -> None:
        """Tell Redis what is held here, of one account or of all. Nobody loses a place by it but who has moved."""
        for household, listener in self._held:
            if api_key is None or household[0] == api_key:
                answered = self._place(household, listener, 0, b"again")
                if answered is not None:
                    answered.addCallback(self._said, household, listener)
                    answered.addErrback(lambda _failure: None)  # with the connection: it will be said again

    def _said(self, answer: bytes, household: Household, listener: str) -> None:
        if answer == b"moved":
            self._has_moved(household, listener)

    def heard(self, text: bytes) -> None:
        """A listener of this node has come again at another."""
        api_key, address, listener = json.loads(text)
        self._has_moved((api_key, address), listener)

    def _has_moved(self, household: Household, listener: str) -> None:
        if (household, listener) in self._held and self._moved is not None:
            self._held.remove((household, listener))
            self._moved(household, listener)
