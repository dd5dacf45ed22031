"""Hearing what is published, and joining to it what must be read: the node's half of an account's order."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred

from cometify.core.errors import Refused
from cometify.core.ring import RingBuffer
from cometify.engine.redis.account_state import MOST_READ, AccountState, Reach, ReadBatch
from cometify.engine.redis.connection import RedisConnection
from cometify.engine.redis.scripts import READ
from cometify.engine.redis.session import RedisSession

MOST_SUBSCRIBED = 1000
"""Channels in one command."""
ABOVE_ALL = 2**62
"""A push that no Redis knows of: its memory of the account begins anew."""

Rings = Mapping[str, RingBuffer]


class Subscriber:
    """`node`: the name of this node; `prefix`: what all channels begin with; `found()`: told when, after connecting, all
    rings of all books are whole.
    """

    def __init__(
        self,
        session: RedisSession,
        node: str,
        prefix: str,
        states: Mapping[str, AccountState],
        later: Callable[..., object],
        found: Callable[[], None],
    ) -> None:
        self._session = session
        self._node = node
        self._prefix = prefix
        self._own = f"{prefix}node:{node}".encode()
        self._states = states
        self._later = later
        self._found = found
        self._channels: dict[bytes, tuple[AccountState, str]] = {}
        self._unread: set[AccountState] = set()  # after connecting: whose rings are not whole yet

    def channel(self, state: AccountState, name: str) -> bytes:
        """On which the pushes of an identifier are published. All databases of a Redis share its channels."""
        return f"{self._prefix}{{{state.account.api_key}}}:{name}".encode()

    def _must(self, answered: "Deferred[Any]", connection: RedisConnection) -> None:
        """What must not fail: if it does, the connection is no good."""
        answered.addErrback(self._session.broken, connection)

    # After a loss of touch.

    def begin_again(self) -> None:
        """Subscribe to everything, then read what was missed."""
        commands, subscription = self._session.commands, self._session.subscription
        assert commands is not None
        assert subscription is not None
        self._unread = {state for state in self._states.values() if state.rings or state.last_known}
        batches = {state: state.begin_again() for state in self._unread}
        channels = [self._own, *self._channels]
        subscribed = defer.gatherResults(
            [
                subscription.listen(channels[at : at + MOST_SUBSCRIBED])
                for at in range(0, len(channels), MOST_SUBSCRIBED)
            ],
            consumeErrors=True,
        )
        self._must(subscribed.addCallback(self._read_again, batches, commands), commands)

    def _read_again(self, _none: object, batches: Mapping[AccountState, ReadBatch], commands: RedisConnection) -> None:
        if commands is not self._session.commands:
            return
        for state, batch in batches.items():
            self._read(state, batch, commands)
        if not batches:
            self._found()

    def give_up(self, why: Callable[[], Refused]) -> None:
        """Touch is lost: who waits to join is refused, what was being read is nothing."""
        for state in self._states.values():
            batches = [batch for batch in (state.reading, state.next_batch) if batch is not None]
            state.reading = state.next_batch = None
            state.held = None
            for name in state.starting:
                del self._channels[self.channel(state, name)]
            state.starting.clear()
            for batch in batches:
                for _reach, followed in batch.followers:
                    followed.errback(why())

    # Joining.

    def follow(self, state: AccountState, reach: Reach) -> Deferred[Rings]:
        """See `IEngine.follow`. Who comes in the same turn, or while something is being read, asks together."""
        batch = state.join_next_batch()
        followed: Deferred[Rings] = Deferred()
        batch.followers.append((reach, followed))
        if state.reading is None and len(batch.followers) == 1:
            self._later(0, self._ask_next, state)
        return followed

    def _ask_next(self, state: AccountState) -> None:
        commands = self._session.commands
        if state.reading is not None or state.next_batch is None or commands is None:
            return
        batch = state.reading = state.next_batch
        state.next_batch = None
        if state.rings:
            self._subscribe(state, batch, state.watermark, commands)
        else:  # it was not listened to until now, so nobody knows how late it is
            answered = self._run(state, commands, 0, [], {})
            self._must(
                answered.addCallback(lambda answer: self._subscribe(state, batch, int(answer[0]), commands)), commands
            )

    def _subscribe(self, state: AccountState, batch: ReadBatch, now: int, commands: RedisConnection) -> None:
        """Hear first, then read. `now`: about the position at which they will join."""
        if state.reading is not batch or self._session.subscription is None:
            return
        for reach, _followed in batch.followers:
            for name, since in reach(now).items():
                batch.since[name] = max(0, min(since, batch.since.get(name, since)))
        new = [name for name in batch.since if name not in state.rings]
        for name in new:
            state.starting[name] = []
            self._channels[self.channel(state, name)] = state, name
        if not new:
            self._read(state, batch, commands)
            return
        subscribed = self._session.subscription.listen([self.channel(state, name) for name in new])
        self._must(subscribed.addCallback(lambda _none: self._read(state, batch, commands)), commands)

    # Reading.

    def _read(self, state: AccountState, batch: ReadBatch, commands: RedisConnection) -> None:
        """Read what an ask needs, part by part: at least one, for its mark."""
        if state.reading is not batch:
            return
        anew = state in self._unread
        names = [name for name, since in batch.since.items() if anew or state.must_read(name, since)]
        batch.left = [names[at : at + MOST_READ] for at in range(0, len(names), MOST_READ)] or [[]]
        self._read_next(state, batch, commands)

    def _read_next(self, state: AccountState, batch: ReadBatch, commands: RedisConnection) -> None:
        names = batch.left.pop(0)
        number = 0 if batch.left else batch.number  # the last part's mark is the seam
        answered = self._run(state, commands, number, names, batch.since)
        self._must(answered.addCallback(self._read_part, state, batch, names, commands), commands)

    def _run(
        self, state: AccountState, commands: RedisConnection, number: int, names: list[str], since: Mapping[str, int]
    ) -> Deferred[Any]:
        told = f"{state.account.api_key} {number}"
        known = state.pushed_to if state in self._unread else ""
        last_known = ABOVE_ALL if state.went_back else state.last_known
        arguments = [part for name in names for part in (name, since[name])]
        return commands.run(
            READ, state.name,
            state.highest, last_known, self._own, told, state.account.keep_bytes, self._node, known, state.last_heard,
            *arguments,
        )  # fmt: skip

    def _read_part(
        self, answer: list[Any], state: AccountState, batch: ReadBatch, names: list[str], commands: RedisConnection
    ) -> None:
        if state.reading is not batch:
            return
        state.take_read(batch, names, answer)
        batch.is_read = not batch.left
        if batch.left:
            self._read_next(state, batch, commands)
        elif state in self._unread:
            self._go_on(state, batch)
        elif state.held is not None:
            self._settle(state, batch)  # its mark was heard before

    # Hearing.

    def beat(self, unsaid: Callable[[AccountState, int], None]) -> None:
        """Say to oneself how late it is, for each account that is listened to, and be it only that one is there.

        `unsaid`: told of an account in which pushes wait to be published, up to a position.
        """
        commands = self._session.commands
        assert commands is not None
        self._must(commands.execute_command(b"PUBLISH", self._own, b"beat"), commands)
        for state in self._states.values():
            if state.rings and state.reading is None:
                answered = self._run(state, commands, 0, [], {})
                self._must(answered.addCallback(_look_for_unsaid, state, unsaid), commands)

    def heard(self, channel: bytes, text: bytes) -> None:
        """Something was published."""
        found = self._channels.get(channel)
        if found is not None:
            state, name = found
            if state.held is None:
                self._heard_push(state, name, text)
            else:
                state.held.append((name, text))
        elif channel == self._own and text != b"beat":
            api_key, text = text.split(b" ", 1)
            state = self._states[api_key.decode()]
            if state.held is None:
                self._heard_mark(state, text)
            else:
                state.held.append(("", text))
                if state in self._unread and state.reading is not None:
                    self._go_on(state, state.reading)

    def _heard_push(self, state: AccountState, name: str, text: bytes) -> None:
        began, before, push = state.parse(name, text)
        if name in state.starting:
            state.starting[name].append(push)
            return
        state.began_at(began)
        if state.has_missed(name, before, push):
            self._session.reset("a push was missed")
        else:
            state.take(push)

    def _heard_mark(self, state: AccountState, text: bytes) -> None:
        number, began, position = map(int, text.split(b" "))
        state.began_at(began)
        state.hear_watermark(position)
        state.drop(position)
        batch = state.reading
        if batch is not None and number == batch.number:
            state.held = []  # what comes next waits, so that who joins has its place exactly here
            if batch.is_read:
                self._settle(state, batch)

    def _settle(self, state: AccountState, batch: ReadBatch) -> None:
        """What was asked for is there, and everything up to its mark was heard, and nothing above: join here."""
        state.settle(batch)
        state.reading = None
        for reach, followed in batch.followers:
            followed.callback({name: state.rings[name] for name in reach(batch.position)})
        self._release(state)
        self._ask_next(state)

    def _go_on(self, state: AccountState, batch: ReadBatch) -> None:
        """Touch was lost, and what was missed is read: once its mark is heard too, the account goes on."""
        held = state.held or []
        seam = next((at for at, (name, text) in enumerate(held) if not name and _number(text) == batch.number), None)
        if seam is None or not batch.is_read:
            return
        state.held = held[seam:]
        state.go_on(batch, [state.parse(name, text)[2] for name, text in held[:seam] if name in state.rings])
        state.reading = None
        self._unread.discard(state)
        self._release(state)
        if not self._unread and self._session.commands is not None:
            self._found()

    def _release(self, state: AccountState) -> None:
        """What was held back while something was read comes now."""
        held, state.held = state.held or [], None
        for at, (name, text) in enumerate(held):
            if self._session.commands is None:
                return
            if not name:
                self._heard_mark(state, text)
            elif name in state.rings or name in state.starting:
                self._heard_push(state, name, text)
            if state.held is not None:
                state.held += held[at + 1 :]
                return

    def leave(self, state: AccountState, name: str) -> bool:
        """Nobody listens to the identifier any more. False if somebody may be about to."""
        if state.reading is not None or state.next_batch is not None:
            return False
        if name in state.rings:
            state.forget(name)
            channel = self.channel(state, name)
            del self._channels[channel]
            if self._session.subscription is not None:
                self._session.subscription.leave([channel])
        return True


def _look_for_unsaid(answer: list[Any], state: AccountState, unsaid: Callable[[AccountState, int], None]) -> None:
    mark, position = int(answer[0]), int(answer[1])
    if mark < position:
        unsaid(state, position)


def _number(mark: bytes) -> int:
    return int(mark.split(b" ", 1)[0])
