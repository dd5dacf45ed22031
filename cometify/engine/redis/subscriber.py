"""The node's half of an account's order: hearing what is published, and joining to it what must be read.

The theory of operation in `cometify.engine.redis` tells why this is right. In short: `read.lua` publishes a watermark
with the number of the batch. The place of that watermark among the messages of the subscription is the seam. What was
read lies before it, what is heard lies behind it.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from twisted.internet import defer
from twisted.internet.defer import Deferred

from cometify.core.errors import Refused
from cometify.core.ring import RingBuffer
from cometify.engine.redis.account_state import MOST_READ, AccountState, Reach, ReadBatch
from cometify.engine.redis.connection import RedisConnection
from cometify.engine.redis.reader import NO_BATCH, Reader
from cometify.engine.redis.scripts import ReadAnswer
from cometify.engine.redis.session import RedisSession
from cometify.runtime.reactor import CallLater

MOST_SUBSCRIBED = 1000
"""Channels in one SUBSCRIBE."""

T = TypeVar("T")
Rings = Mapping[str, RingBuffer]


class Subscriber:
    """`node`: the name of this node. `prefix`: the beginning of the names of all channels. `states`: all accounts.

    `caught_up()`: called when, after connecting, the rings of all accounts are complete.
    """

    def __init__(
        self,
        session: RedisSession,
        node: str,
        prefix: str,
        states: Mapping[str, AccountState],
        call_later: CallLater,
        caught_up: Callable[[], None],
    ) -> None:
        self._session = session
        self._prefix = prefix
        self._own = f"{prefix}node:{node}".encode()
        self._reader = Reader(node, self._own)
        self._states = states
        self._call_later = call_later
        self._caught_up = caught_up
        self._channels: dict[bytes, tuple[AccountState, str]] = {}
        self._unread: set[AccountState] = set()  # accounts that have not caught up since the session began

    def channel(self, state: AccountState, name: str) -> bytes:
        """The channel on which the pushes of an identifier are published. All databases of a Redis share channels."""
        return f"{self._prefix}{{{state.account.api_key}}}:{name}".encode()

    def _must(self, answered: Deferred[T], connection: RedisConnection) -> None:
        """Reset the session if this fails, because the rings would stay incomplete."""
        answered.addErrback(self._session.reset_by, connection)

    # After a lost session.

    def begin_again(self) -> None:
        """Subscribe to everything that is followed, then read what was missed."""
        commands, subscription = self._session.commands, self._session.subscription
        assert commands is not None
        assert subscription is not None
        # An account without rings is read for its `last_known`, so that an emptied Redis is noticed for it too.
        self._unread = {state for state in self._states.values() if state.rings or state.last_known}
        batches = {state: state.begin_again() for state in self._unread}
        channels = [self._own, *self._channels]
        subscribed = defer.gatherResults(
            [
                subscription.subscribe(channels[at : at + MOST_SUBSCRIBED])
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
            self._caught_up()

    def give_up(self, refusal: Callable[[], Refused]) -> None:
        """The session is lost: refuse the joins that wait, and drop what was being read."""
        for state in self._states.values():
            batches = [batch for batch in (state.reading, state.next_batch) if batch is not None]
            state.reading = state.next_batch = None
            state.held = None
            for name in state.starting:
                del self._channels[self.channel(state, name)]
            state.starting.clear()
            for batch in batches:
                for _reach, followed in batch.followers:
                    followed.errback(refusal())

    # Joining.

    def follow(self, state: AccountState, reach: Reach) -> Deferred[Rings]:
        """See `IEngine.follow`. Joins of one turn of the reactor share a batch; so do joins that come during a read."""
        batch = state.join_next_batch()
        followed: Deferred[Rings] = Deferred()
        batch.followers.append((reach, followed))
        if state.reading is None and len(batch.followers) == 1:
            self._call_later(0, self._begin_next, state)
        return followed

    def _begin_next(self, state: AccountState) -> None:
        commands = self._session.commands
        if state.reading is not None or state.next_batch is None or commands is None:
            return
        batch = state.reading = state.next_batch
        state.next_batch = None
        if state.rings:
            self._subscribe(state, batch, state.watermark, commands)
        else:
            # The account was not followed until now, so that this node does not know its time.
            answered = self._reader.ask_position(state, commands)
            self._must(
                answered.addCallback(lambda answer: self._subscribe(state, batch, int(answer[0]), commands)), commands
            )

    def _subscribe(self, state: AccountState, batch: ReadBatch, now: int, commands: RedisConnection) -> None:
        """Subscribe first, then read, so that no push falls between. `now`: about the position of the seam to come."""
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
        subscribed = self._session.subscription.subscribe([self.channel(state, name) for name in new])
        self._must(subscribed.addCallback(lambda _none: self._read(state, batch, commands)), commands)

    # Reading.

    def _read(self, state: AccountState, batch: ReadBatch, commands: RedisConnection) -> None:
        """Read a batch, part by part. There is always one part at least, because its watermark is the seam."""
        if state.reading is not batch:
            return
        must_read_all = state in self._unread
        names = [name for name, since in batch.since.items() if must_read_all or state.must_read(name, since)]
        batch.left = [names[at : at + MOST_READ] for at in range(0, len(names), MOST_READ)] or [[]]
        self._read_next(state, batch, commands)

    def _read_next(self, state: AccountState, batch: ReadBatch, commands: RedisConnection) -> None:
        names = batch.left.pop(0)
        # Only the watermark of the last part is the seam.
        number = NO_BATCH if batch.left else batch.number
        since = {name: batch.since[name] for name in names}
        answered = self._reader.read(state, commands, number, since, has_caught_up=state not in self._unread)
        self._must(answered.addCallback(self._part_read, state, batch, names, commands), commands)

    def _part_read(
        self, answer: ReadAnswer, state: AccountState, batch: ReadBatch, names: list[str], commands: RedisConnection
    ) -> None:
        if state.reading is not batch:
            return
        state.take_read(batch, names, answer)
        batch.is_read = not batch.left
        if batch.left:
            self._read_next(state, batch, commands)
        elif state in self._unread:
            self._resume(state, batch)
        elif state.held is not None:
            # The seam was heard before this answer came, over the other connection.
            self._settle(state, batch)

    # Hearing.

    def beat(self, unconfirmed: Callable[[AccountState, int], None]) -> None:
        """Publish a watermark to this node for every followed account.

        The bare beat proves that the subscription works even if no account is followed. `unconfirmed(state, position)`:
        called for an account in which pushes up to `position` wait for replicas.
        """
        commands = self._session.commands
        assert commands is not None
        self._must(commands.execute(b"PUBLISH", self._own, b"beat"), commands)
        for state in self._states.values():
            if state.rings and state.reading is None:
                answered = self._reader.ask_position(state, commands)
                self._must(answered.addCallback(_check_unconfirmed, state, unconfirmed), commands)

    def heard(self, channel: bytes, text: bytes) -> None:
        """Handle a message of the subscription."""
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
                self._heard_watermark(state, text)
            else:
                state.held.append(("", text))
                if state in self._unread and state.reading is not None:
                    self._resume(state, state.reading)

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

    def _heard_watermark(self, state: AccountState, text: bytes) -> None:
        number, began, position = map(int, text.split(b" "))
        state.began_at(began)
        state.hear_watermark(position)
        state.drop(position)
        batch = state.reading
        if batch is not None and number == batch.number:
            # Here is the seam. Later messages wait until the answer is there too, and the listeners join between.
            state.held = []
            if batch.is_read:
                self._settle(state, batch)

    def _settle(self, state: AccountState, batch: ReadBatch) -> None:
        """Let the listeners of a batch join. Everything up to the seam was read or heard, and nothing above it."""
        state.settle(batch)
        state.reading = None
        for reach, followed in batch.followers:
            followed.callback({name: state.rings[name] for name in reach(batch.position)})
        self._release(state)
        self._begin_next(state)

    def _resume(self, state: AccountState, batch: ReadBatch) -> None:
        """Go on with an account after a lost session, once its answer and its seam are both there."""
        held = state.held or []
        seam = next((at for at, (name, text) in enumerate(held) if not name and _number(text) == batch.number), None)
        if seam is None or not batch.is_read:
            return
        state.held = held[seam:]
        state.resume(batch, [state.parse(name, text)[2] for name, text in held[:seam] if name in state.rings])
        state.reading = None
        self._unread.discard(state)
        self._release(state)
        if not self._unread and self._session.commands is not None:
            self._caught_up()

    def _release(self, state: AccountState) -> None:
        """Handle the messages that were held back during a read."""
        held, state.held = state.held or [], None
        for at, (name, text) in enumerate(held):
            if self._session.commands is None:
                return
            if not name:
                self._heard_watermark(state, text)
            elif name in state.rings or name in state.starting:
                self._heard_push(state, name, text)
            if state.held is not None:
                # A watermark among them was the seam of the next batch.
                state.held += held[at + 1 :]
                return

    def leave(self, state: AccountState, name: str) -> bool:
        """Stop following an identifier. Returns False, and does nothing, if somebody may be about to join."""
        if state.reading is not None or state.next_batch is not None:
            return False
        if name in state.rings:
            state.forget(name)
            channel = self.channel(state, name)
            del self._channels[channel]
            if self._session.subscription is not None:
                self._session.subscription.unsubscribe([channel])
        return True


def _check_unconfirmed(
    answer: ReadAnswer, state: AccountState, unconfirmed: Callable[[AccountState, int], None]
) -> None:
    watermark, position = int(answer[0]), int(answer[1])
    if watermark < position:
        unconfirmed(state, position)


def _number(watermark: bytes) -> int:
    return int(watermark.split(b" ", 1)[0])
