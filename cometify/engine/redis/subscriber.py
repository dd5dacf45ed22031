"""The node's half of an account's order: hearing what is published, and joining to it what must be read.

The theory of operation in `cometify.engine.redis` tells why this is right. In short: `read.lua` publishes a watermark
with the number of the batch. The place of that watermark among the messages of the subscription is the seam. What was
read lies before it, what is heard lies behind it.
"""

from collections.abc import Callable, Collection, Mapping
from time import thread_time

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cometify.core.errors import Refused
from cometify.engine.redis import messages, unavailable
from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.announcements import read_announced
from cometify.engine.redis.beat import Beat
from cometify.engine.redis.channels import Channels
from cometify.engine.redis.connection import RedisConnection
from cometify.engine.redis.error_replies import AccountErrors, first_error, is_of_one_account
from cometify.engine.redis.join_slices import JoinSlices
from cometify.engine.redis.read_batch import Reach, ReadBatch, Rings
from cometify.engine.redis.reader import NO_BATCH, Reader
from cometify.engine.redis.refused_joins import RefusedJoins
from cometify.engine.redis.scripts import READ, ReadAnswer
from cometify.engine.redis.session import RedisSession
from cometify.runtime.reactor import CallLater


class Subscriber:
    """`node`: the name of this node. `states`: all accounts.

    `caught_up()`: called when, after connecting, the rings of all accounts are complete, except those of accounts that Redis
    cannot read. Such an account is **set aside**: its listeners stay and get nothing, nobody joins, and it is read again with
    each beat. `account_errors`: logs why.
    """

    _heard_before_seam = staticmethod(AccountState.heard_before_seam)

    def __init__(
        self,
        session: RedisSession,
        node: str,
        channels: Channels,
        states: Mapping[str, AccountState],
        call_later: CallLater,
        caught_up: Callable[[], None],
        account_errors: AccountErrors,
    ) -> None:
        self._session = session
        self._channels = channels
        self._reader = Reader(node, channels)
        self._beat = Beat(session, self._reader, account_errors)
        self._refused_joins = RefusedJoins(call_later)
        self._join_slices = JoinSlices(call_later, self._release, self._begin_next)
        self._states = states
        self._call_later = call_later
        self._caught_up = caught_up
        self._account_errors = account_errors
        self._unread: set[AccountState] = set()  # accounts that are catching up, after connecting or after an error
        self._set_aside: set[AccountState] = set()

    def _not_read(self, failure: Failure, state: AccountState, batch: ReadBatch, commands: RedisConnection) -> None:
        """Errback: refuse the joins of a batch if the error is the account's. Any other error goes on."""
        if commands is not self._session.commands or not is_of_one_account(failure):
            failure.raiseException()
        self._account_errors.log(failure, state.account.api_key, READ.name)
        if state.reading is not batch:
            return
        if state in self._unread:
            self._unread.discard(state)
            self._set_aside.add(state)
            self._refused_joins.add(state.set_aside(), unavailable.account_not_followed)
            self._tell_caught_up()
        else:
            state.reading = None
            self._unsubscribe(state, state.stop_starting(batch))
            self._refused_joins.add(batch.followers, unavailable.account_not_followed)
            self._release(state)
            self._begin_next(state)

    def _tell_caught_up(self) -> None:
        if not self._unread and self._session.commands is not None and not self._session.is_ready:
            self._caught_up()

    # After a lost session.

    def begin_again(self) -> None:
        """Subscribe to everything that is followed, then read what was missed."""
        commands, subscription = self._session.commands, self._session.subscription
        assert commands is not None
        assert subscription is not None
        # An account without rings is read for its `last_known`, so that an emptied Redis is noticed for it too.
        self._unread = {state for state in self._states.values() if state.rings or state.last_known}
        self._set_aside.clear()
        batches = {state: state.begin_again() for state in self._unread}
        subscribed = defer.gatherResults(list(map(subscription.subscribe, self._channels.all())), consumeErrors=True)
        self._session.must(subscribed.addCallbacks(self._read_again, first_error, (batches, commands)), commands)

    def _read_again(self, _none: object, batches: Mapping[AccountState, ReadBatch], commands: RedisConnection) -> None:
        if commands is not self._session.commands:
            return
        for state, batch in batches.items():
            self._read(state, batch, commands)
        self._tell_caught_up()

    def give_up(self, refusal: Callable[[], Refused]) -> None:
        """The session is lost: refuse the joins that wait, and drop what was being read."""
        for state in self._states.values():
            self._channels.remove(state, state.starting)
            self._refused_joins.add(state.give_up(), refusal)

    # Joining.

    def follow(self, state: AccountState, reach: Reach, secret: Collection[str]) -> Deferred[Rings]:
        """See `IEngine.follow`. Joins of one turn of the reactor share a batch; so do joins that come during a read."""
        if state in self._set_aside or state in self._unread:
            return defer.fail(unavailable.account_not_followed())
        followed: Deferred[Rings] = Deferred()
        state.waiting.append((reach, secret, followed))
        if state.reading is None and len(state.waiting) == 1:
            self._call_later(0, self._begin_next, state)
        return followed

    def _begin_next(self, state: AccountState) -> None:
        commands = self._session.commands
        if state.reading is not None or not state.waiting or commands is None:
            return
        batch = state.begin_batch()
        if state.rings:
            self._subscribe(state, batch, state.watermark, commands)
        else:
            # The account was not followed until now, so that this node does not know its time.
            asked = self._reader.ask_position(state, commands)
            answered = asked.addCallback(lambda answer: self._subscribe(state, batch, int(answer[0]), commands))
            self._session.must(answered.addErrback(self._not_read, state, batch, commands), commands)

    def _subscribe(self, state: AccountState, batch: ReadBatch, now: int, commands: RedisConnection) -> None:
        """Subscribe first, then read, so that no push falls between. `now`: about the position of the seam to come."""
        if state.reading is not batch or self._session.subscription is None:
            return
        state.waiting.extendleft(reversed(batch.ask(now, thread_time)))
        new = [name for name in batch.since if name not in state.rings]
        state.starting.update({name: [] for name in new})
        if not new:
            self._read(state, batch, commands)
            return
        subscribed = self._session.subscription.subscribe(self._channels.add(state, new))
        subscribed.addCallback(lambda _none: self._read(state, batch, commands))
        self._session.must(subscribed.addErrback(self._not_read, state, batch, commands), commands)

    # Reading.

    def _read(self, state: AccountState, batch: ReadBatch, commands: RedisConnection) -> None:
        if state.reading is not batch:
            return
        must_read_all = state in self._unread
        names = [name for name, since in batch.since.items() if must_read_all or state.must_read(name, since)]
        batch.split(names)
        self._read_next(state, batch, commands)

    def _read_next(self, state: AccountState, batch: ReadBatch, commands: RedisConnection) -> None:
        names = batch.left.pop(0)
        # Only the watermark of the last part is the seam, and only if the part is read as a whole.
        number = NO_BATCH if batch.left else batch.number
        since = {name: batch.since[name] for name in names}
        answered = self._reader.read(state, commands, number, since, has_caught_up=state not in self._unread)
        taken = answered.addCallback(self._part_read, state, batch, names, commands)
        self._session.must(taken.addErrback(self._not_read, state, batch, commands), commands)

    def _part_read(
        self, answer: ReadAnswer, state: AccountState, batch: ReadBatch, names: list[str], commands: RedisConnection
    ) -> None:
        if state.reading is not batch:
            return
        if left := names[state.take_read(batch, names, answer) :]:
            batch.left.insert(0, left)
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
        """Publish a watermark to this node for every followed account, and try again to read those set aside."""
        commands = self._session.commands
        assert commands is not None
        states = [state for state in self._states.values() if state.rings and state.reading is None]
        self._beat.publish([state for state in states if state not in self._set_aside], unconfirmed)
        for state in list(self._set_aside):
            self._set_aside.discard(state)
            if self._states.get(state.account.api_key) is state:  # else it was quiet for a day and is forgotten
                self._catch_up(state, commands)

    def _catch_up(self, state: AccountState, commands: RedisConnection) -> None:
        """Read one account from `last_heard` on, so that nothing that was heard since then is needed."""
        self._unread.add(state)
        self._read(state, state.begin_again(is_connected=True), commands)

    def heard(self, channel: bytes, text: bytes) -> None:
        """Handle a message of the subscription."""
        if (found := self._channels.find(channel)) is not None:
            state, name = found
            if state.held is None:
                self._heard_pushes(state, name, text)
            elif state not in self._set_aside:
                state.held.append((name, text))
        elif channel == self._channels.own and text != b"beat":
            api_key, _, text = text.partition(b" ")
            own = self._states.get(api_key.decode(errors="replace"))
            if own is None:
                return  # the account was forgotten meanwhile
            if own.held is None:
                self._heard_watermark(own, text)
            elif own not in self._set_aside:
                own.held.append(("", text))
                if own in self._unread and own.reading is not None:
                    self._resume(own, own.reading)

    def _heard_pushes(self, state: AccountState, name: str, text: bytes) -> None:
        began, announced = read_announced(name, text)
        if name in state.starting:
            state.starting[name] += [push for _before, push in announced]
            return
        state.began_at(began)
        missed, commands = state.take_announced(name, announced), self._session.commands
        if missed is None:
            return
        if missed.position > state.last_heard and state.reading is None and commands is not None:
            self._catch_up(state, commands)  # a script that failed had kept a push and not published it
        else:
            self._session.missed_push()

    def _heard_watermark(self, state: AccountState, text: bytes) -> None:
        number, began, position = messages.read_numbers(text, 3)
        state.began_at(began)
        state.hear_watermark(position)
        state.drop_public(position)
        batch = state.reading
        if batch is not None and number == batch.number:
            # Here is the seam. Later messages wait until the answer is there too, and the listeners join between.
            state.held = []
            if batch.is_read:
                self._settle(state, batch)

    def _settle(self, state: AccountState, batch: ReadBatch) -> None:
        """Let the listeners of a batch join. Everything up to the seam was read or heard, and nothing above it."""
        state.settle(batch)
        self._join_slices.let_join(state, batch)

    def _resume(self, state: AccountState, batch: ReadBatch) -> None:
        """Go on with an account after a lost session, once its answer and its seam are both there."""
        if not batch.is_read or (heard := self._heard_before_seam(state, batch)) is None:
            return
        if batch.passed_over(state.last_heard) and (commands := self._session.commands) is not None:
            state.went_back = True
            self._read(state, state.begin_again(), commands)
            return
        state.resume(batch, heard)
        state.reading = None
        self._unread.discard(state)
        self._release(state)
        self._tell_caught_up()
        self._begin_next(state)

    def _release(self, state: AccountState) -> None:
        """Handle the messages that were held back during a read."""
        held, state.held = state.held or [], None
        for at, (name, text) in enumerate(held):
            if self._session.commands is None:
                return
            if not name:
                self._heard_watermark(state, text)
            elif name in state.rings or name in state.starting:
                self._heard_pushes(state, name, text)
            if state.held is not None:  # a watermark among them was the seam of the next batch
                state.held += held[at + 1 :]
                return

    def leave(self, state: AccountState, names: list[str]) -> bool:
        """Stop following identifiers. Returns False, and does nothing, if somebody may be about to join."""
        if state.reading is not None or state.waiting:
            return False
        followed = [name for name in names if name in state.rings]
        for name in followed:
            state.forget(name)
        self._unsubscribe(state, followed)
        return True

    def _unsubscribe(self, state: AccountState, names: list[str]) -> None:
        channels = self._channels.remove(state, names)
        if channels and self._session.subscription is not None:
            self._session.subscription.unsubscribe(channels)
