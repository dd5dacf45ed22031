"""The joins of a batch that was read, some in each turn of the event loop.

A join that names 100 identifiers in ten groups takes as long as 40 that name one, and all joins of a batch are ready in the
same moment. So the turn in which the batch was read lets some of them join, and the others follow in the next turns.
Messages are held back until all have joined, because the rings must stay as they were at the seam. The listeners of the
account get their pushes some milliseconds later then.
"""

from collections.abc import Callable
from time import thread_time

from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.read_batch import ReadBatch
from cometify.runtime.reactor import CallLater

Of = Callable[[AccountState], None]


class JoinSlices:
    """`release(state)`: hands on the messages that were held back. `begin_next(state)`: begins with the joins that wait.

    `cpu_seconds`: the clock that measures a slice.
    """

    def __init__(
        self, call_later: CallLater, release: Of, begin_next: Of, cpu_seconds: Callable[[], float] = thread_time
    ) -> None:
        self._call_later = call_later
        self._release = release
        self._begin_next = begin_next
        self._cpu_seconds = cpu_seconds

    def let_join(self, state: AccountState, batch: ReadBatch) -> None:
        """Let listeners join in this turn, and the others in the turns that follow."""
        if state.reading is not batch:
            return  # the session was lost meanwhile
        has_time = batch.let_some_join(state.rings, self._cpu_seconds)
        if batch.followers:
            # A call that is due at once is made in this very turn, if the slice before it was part of a read. So it is made by
            # another such call, which comes after the next reads.
            self._call_later(0, self._call_later, 0, self.let_join, state, batch)
            return
        state.reading = None
        self._release(state)
        if has_time:
            self._begin_next(state)
        else:
            self._call_later(0, self._call_later, 0, self._begin_next, state)
