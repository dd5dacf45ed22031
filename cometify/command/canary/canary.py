"""The canary: one push each second to an identifier of its own, and a listener on each transport.

A push that was accepted must reach every listener that has joined, or has failed to join, before. A listener that is cut off
comes back and resumes. When one joins for the first time, it is excused from the pushes before. A listener that has not heard
a push after `lost_after` seconds has lost it. If the push comes after all, it counts as late too. A push that the server did
not accept is expected nowhere, but may be heard: its answer may be lost.

The canary never gives up. It is there to see an outage from its beginning to its end.
"""

import random
import secrets
import time
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater

from cometify.command.group import Group
from cometify.command.requests import Requests
from cometify.command.server_url import ServerURL
from cometify.command.sources import SOURCES, Source
from cometify.command.troubles import Trouble
from cometify.core.identifier import names_from_query
from cometify.core.md5_signature import secure_key

PATIENCE = 10.0
"""Seconds that an answer, and the first frame of a listener, may take."""
HEARTBEAT_GRACE = 10
"""Seconds by which a heartbeat may be late."""
POLL_WITHIN = 60.0
"""Seconds that a poll may take. It is answered by the next push, or by a heartbeat."""
LONGEST_DELAY = 2.0
"""Seconds after which a listener comes back at the latest."""
MOST_WAITING = 20
"""Pushes that may wait for their answers at once. A further one is not sent, and counts as failed."""
REMEMBERED = 600
"""Pushes that are remembered, so that one that comes twice is noticed."""


class Watcher(Protocol):
    """The object that a canary reports to. `transport`: the last segment of a listener's path."""

    def pushed(self, seconds: float) -> None:
        """A push was accepted after so many seconds."""

    def not_pushed(self, trouble: Trouble, *, is_past: bool = False) -> None:
        """A push was not accepted. `is_past`: a later one was accepted before this was known."""

    def heard(self, transport: str, seconds: float, *, is_late: bool) -> None:
        """A listener heard a push so many seconds after it was sent. `is_late`: it had been counted as lost."""

    def repeated(self, transport: str) -> None:
        """A listener heard a push again."""

    def lost(self, transport: str) -> None:
        """A listener has not heard a push in time."""

    def joined(self, transport: str) -> None:
        """A listener has joined."""

    def cut_off(self, transport: str, trouble: Trouble) -> None:
        """A listener could not join, or no longer listens. It comes back."""


@attrs.define
class _Flight:
    """A push that was sent. `missing`: the transports that have to hear it. `lost`: those of them that are too late."""

    sent_at: float
    expected: frozenset[str]
    missing: set[str]
    lost: set[str] = attrs.field(factory=set)
    is_accepted: bool = False


class Canary:
    """`every`: seconds between two pushes. `lost_after`: seconds after which a push that was not heard is lost."""

    def __init__(self, server: ServerURL, reactor: Any, watcher: Watcher, *, every: float, lost_after: float) -> None:
        self._server = server
        self._reactor = reactor
        self._watcher = watcher
        self._every = every
        self._lost_after = lost_after
        self._requests = Requests(server, reactor, PATIENCE)
        self._polls = Requests(server, reactor, POLL_WITHIN)
        self.identifier = f"canary_{secrets.token_hex(8)}"
        self._listeners = [_Listener(self, name) for name in SOURCES]
        self._flights: dict[int, _Flight] = {}
        self._number = self._accepted = 0
        self._waiting = 0
        self._is_over = False
        self._ended: Deferred[None] = Deferred()

    async def run(self, seconds: float | None) -> None:
        """Push and listen for so many seconds, or for ever. Raises `Trouble` if the account cannot push at all."""
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        for listener in self._listeners:
            Deferred.fromCoroutine(listener.stay()).addErrback(self._fail)
        loop = LoopingCall(self._tick)
        loop.clock = self._reactor
        loop.start(self._every).addErrback(self._fail)
        if seconds is not None:
            self._reactor.callLater(seconds, self._end)
        await self._ended
        loop.stop()
        await self._settle()
        self._stop()

    async def _settle(self) -> None:
        """Wait for the last pushes, until they are heard or lost."""
        until = time.monotonic() + self._lost_after + self._every
        while time.monotonic() < until and (self._waiting or any(map(_is_under_way, self._flights.values()))):
            await deferLater(self._reactor, min(self._every, 0.05))
            self._judge(time.monotonic())

    def _end(self) -> None:
        if not self._ended.called:
            self._ended.callback(None)

    def _fail(self, failure: Any) -> None:
        if not self._ended.called:
            self._ended.errback(failure)

    def _stop(self) -> None:
        """Report nothing further, because the connections are about to be closed by this program itself."""
        self._is_over = True

    # Pushing.

    def _tick(self) -> None:
        now = time.monotonic()
        self._judge(now)
        if self._waiting >= MOST_WAITING:
            self._watcher.not_pushed(Trouble("silent", f"{self._waiting} pushes wait for their answers."))
            return
        self._number += 1
        expected = frozenset(listener.name for listener in self._listeners if listener.is_due)
        flight = self._flights[self._number] = _Flight(now, expected, set(expected))
        self._waiting += 1
        Deferred.fromCoroutine(self._push(self._number, flight)).addErrback(self._fail)

    async def _push(self, number: int, flight: _Flight) -> None:
        try:
            answer = await self._requests.push(self.identifier, {"text": str(number), "secret": 1})
            if answer.status != 200:
                raise answer.trouble()
        except Trouble as trouble:
            if trouble.fault == "wrong_key" and number == 1:
                raise
            if not self._is_over:
                self._watcher.not_pushed(trouble, is_past=number < self._accepted)
        else:
            flight.is_accepted = True
            self._accepted = max(self._accepted, number)
            self._watcher.pushed(answer.seconds)
        finally:
            self._waiting -= 1

    # Listening.

    def heard(self, name: str, number: int) -> None:
        """A listener has heard a push."""
        flight = self._flights.get(number)
        if flight is None:
            return
        if name in flight.missing:
            flight.missing.discard(name)
            self._watcher.heard(name, time.monotonic() - flight.sent_at, is_late=name in flight.lost)
        elif name in flight.expected:
            self._watcher.repeated(name)

    def _judge(self, now: float) -> None:
        """Count pushes that were not heard in time, and forget the oldest."""
        for flight in self._flights.values():
            if now - flight.sent_at < self._lost_after:
                break
            for name in sorted(flight.missing - flight.lost) if flight.is_accepted else ():
                flight.lost.add(name)
                self._watcher.lost(name)
        while len(self._flights) > REMEMBERED:
            del self._flights[next(iter(self._flights))]

    def source(self, name: str, group: Group, listener: str) -> Source:
        """Make a source of frames for one connection."""
        requests = self._polls if name == "poll" else self._requests
        return SOURCES[name](self._server, group, listener, requests, self._reactor, PATIENCE)

    def group(self) -> Group:
        """Make the group of a listener."""
        key = secure_key(self._server.api_key, self._server.api_secret, self.identifier)
        return Group(names_from_query(self.identifier), key)

    def joined(self, name: str, *, begins: bool) -> None:
        """A listener has joined. `begins`: it does not resume."""
        if begins:
            for flight in self._flights.values():
                flight.missing.discard(name)
                flight.expected -= {name}
        self._watcher.joined(name)

    async def cut_off(self, name: str, trouble: Trouble) -> None:
        """Wait until the listener may come back."""
        if self._is_over:
            await Deferred()
        self._watcher.cut_off(name, trouble)
        await deferLater(self._reactor, random.uniform(0.1, 1.0) * LONGEST_DELAY)


def _is_under_way(flight: _Flight) -> bool:
    return flight.is_accepted and bool(flight.missing - flight.lost)


class _Listener:
    """A listener on one transport. `is_due`: it has joined, or failed to join, so it must hear every later push."""

    def __init__(self, canary: Canary, name: str) -> None:
        self.name = name
        self.is_due = False
        self._canary = canary
        self._group = canary.group()
        self._listener_id = secrets.token_hex(8)

    async def stay(self) -> None:
        """Listen, and come back whenever the connection ends."""
        while True:
            source = self._canary.source(self.name, self._group, self._listener_id)
            begins = self._group.cursor is None
            try:
                await source.open()
                await self._listen(source, begins=begins)
            except Trouble as trouble:
                ended = trouble
            finally:
                source.close()
            self.is_due = True
            await self._canary.cut_off(self.name, ended)

    async def _listen(self, source: Source, *, begins: bool) -> None:
        is_joined = False
        while True:
            frame = await source.frame()
            if not is_joined:
                # A poll that resumes gets no `ready`, so any frame shows that the listener is joined.
                is_joined = self.is_due = True
                self._canary.joined(self.name, begins=begins)
            if frame["type"] == "ready":
                source.patience = frame["heartbeat"] + HEARTBEAT_GRACE
            elif frame["type"] == "push":
                self._canary.heard(self.name, int(frame["text"]))
