"""The decisions of the relay: which rows are sent next, and what an answer means for them.

The theory of operation is at the top of this package.
"""

import random
import time
from collections.abc import Callable
from typing import Protocol

import attrs

from cometify.client import CometifyError, MaybePushed, Pushed
from cometify.command.relay.rows import Batch, Row, batches_in_doubt, cut
from cometify.command.relay.sending import RelayClient, ends_doubt, is_fatal, is_of_the_push, is_refused
from cometify.command.relay.table import OutboxTable

SECOND = 1_000_000
MAX_BATCH = 100
"""Rows of a request: the limit of the server."""
MAX_IN_DOUBT = 4
"""Batches without an answer beside which new rows are still sent. One that always fails must not stop all others."""
LOOKS_AFTER = 240 * SECOND
"""Age of the first try above which the kept pushes are read before a request is repeated."""
KEY_LIVES = 540 * SECOND
"""Age of the first try below which the server knows the key for certain. It remembers a key for 600 s."""
HEARD_WITHIN = 360 * SECOND
"""The time after which no earlier request can be accepted: a signature is good for 300 s, and clocks differ."""
LATE = 60.0
"""Seconds for a request after which this process must have been stopped."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0
"""Seconds before the next try after a failure, and at most after many."""
MAYBE_PUSHED = "maybe_pushed"
"""The code of dead letters that can have been pushed."""


class Stopped(Exception):
    """The server refuses the account. `detail`: what to change."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Watcher(Protocol):
    """Somebody who is told what the relay does."""

    def sent(self, rows: list[Row], pushed: list[Pushed]) -> None:
        """The server has these rows."""

    def found(self, rows: list[Row]) -> None:
        """These rows are among the kept pushes, so they were pushed before."""

    def buried(self, row: Row, error: str) -> None:
        """A row has become a dead letter."""

    def failed(self, error: CometifyError, pause: float) -> None:
        """The server did not take a request. The next one is sent after so many seconds."""


@attrs.define
class Relay:
    """The owner of an outbox. `keep`: seconds for which sent rows are kept; 0: they are deleted."""

    table: OutboxTable
    client: RelayClient
    watcher: Watcher
    keep: int = 0
    microseconds: Callable[[], int] = lambda: time.time_ns() // 1000
    failures: int = 0
    """Requests without success since the last one that was answered."""
    _size: int = MAX_BATCH
    _last_claim: int = 0
    _in_doubt: list[Batch] = attrs.Factory(list)

    def take_over(self) -> None:
        """Read the rows that an earlier owner has sent without an answer. They are due at once."""
        self._in_doubt = batches_in_doubt(self.table.in_doubt())
        self._last_claim = max([0, *(batch.first_tried_at for batch in self._in_doubt)])
        self.table.commit()

    def step(self) -> float | None:
        """Send one request at most. Returns the seconds until the next step, or None if there is nothing to do.

        Raises `Stopped`, `DatabaseAway` or `DatabaseUnusable`.
        """
        now = self.microseconds()
        due = [batch for batch in self._in_doubt if batch.due <= now]
        if due:
            self.table.commit()  # no lock is held while the server is asked
            return self._repeat(due[0], now)
        if len(self._in_doubt) < MAX_IN_DOUBT:
            batch = self._claim(now)
            if batch is not None:
                return self._send(batch, now)
        self.table.commit()
        if not self._in_doubt:
            return None
        return (min(batch.due for batch in self._in_doubt) - now) / SECOND

    def _claim(self, now: int) -> Batch | None:
        """Claim the next rows, and commit this together with the end of the rows before."""
        held = set().union(*(batch.identifiers for batch in self._in_doubt))
        while True:
            waiting = self.table.waiting(self._size, held)
            rows, unsendable = cut(waiting)
            for row, reason in unsendable:
                self._bury(row, f"{reason.code}: {reason.detail}")
            if rows or not waiting:
                break
        if not rows:
            return None
        self._last_claim = max(now, self._last_claim + 1)
        batch = Batch(tuple(rows), self._last_claim, last_tried_at=self._last_claim)
        self.table.claim(batch.ids, batch.first_tried_at)
        self.table.commit()
        return batch

    def _send(self, batch: Batch, now: int) -> float:
        """Send a batch that is claimed. `now`: before the claim, because a stop of this process can be anywhere after it."""
        try:
            pushed = self.client.send(batch.body(), batch.key, now // SECOND)
        except CometifyError as error:
            return self._failed(batch, error, now)
        self._in_doubt = [other for other in self._in_doubt if other.first_tried_at != batch.first_tried_at]
        self._end(batch.ids)
        self.failures = 0
        self._size = min(MAX_BATCH, self._size + max(1, self._size // 8))
        self.watcher.sent(list(batch.rows), pushed)
        return 0.0

    def _repeat(self, batch: Batch, now: int) -> float:
        """Send a batch in doubt again, if that cannot push it twice."""
        if now - batch.first_tried_at > LOOKS_AFTER:
            try:
                missing, unknown = self._look(batch)
            except CometifyError as error:
                return self._away(batch, error)
            self.failures = 0
            if not missing:
                self._settle(batch)
                return 0.0
            if now - batch.first_tried_at > KEY_LIVES:
                return self._decide(batch, missing, unknown, now)
        batch = attrs.evolve(batch, last_tried_at=now, tries=batch.tries + 1)
        self.table.touch(batch.ids, now)
        self.table.commit()
        return self._send(batch, now)

    def _look(self, batch: Batch) -> tuple[list[Row], list[Row]]:
        """Return the rows of a batch that are not among the kept pushes, and those of them that may have been dropped."""
        missing: list[Row] = []
        unknown: list[Row] = []
        for identifier in sorted(batch.identifiers):
            rows = [row for row in batch.rows if row.folded == identifier]
            found, gap = self.client.find(rows, batch.first_tried_at, self.table.ping)
            if found:
                self.watcher.found(found)
            left = [row for row in rows if row not in found]
            missing += left
            unknown += left if gap else []
        return missing, unknown

    def _decide(self, batch: Batch, missing: list[Row], unknown: list[Row], now: int) -> float:
        """Decide on rows that are not kept, and whose key the server has forgotten."""
        for row in unknown:
            self._bury(row, f"{MAYBE_PUSHED}: no answer came, and the server no longer keeps all pushes since then.")
        batch = attrs.evolve(batch, rows=tuple(row for row in batch.rows if row not in unknown))
        unsent = [row for row in missing if row not in unknown]
        heard = batch.last_tried_at + HEARD_WITHIN
        if not unsent:
            self._settle(batch)
        elif now < heard:
            self.table.commit()
            self._postpone(batch, heard)
        else:
            self._release(batch, unsent)
        return 0.0

    def _release(self, batch: Batch, missing: list[Row]) -> None:
        """End a batch in doubt: these rows were not pushed, and wait for another and smaller request."""
        if missing:
            self.table.release([row.id for row in missing])
        self._size = max(1, len(batch.rows) // 2)
        self._settle(batch, [row.id for row in missing])

    def _settle(self, batch: Batch, left: list[int] | None = None) -> None:
        """End a batch in doubt: its rows were pushed, but for those in `left`."""
        pushed = [row for row in batch.ids if row not in (left or [])]
        if pushed:
            self._end(pushed)
        self.table.commit()
        self._in_doubt = [other for other in self._in_doubt if other.first_tried_at != batch.first_tried_at]

    def _failed(self, batch: Batch, error: CometifyError, began: int) -> float:
        """Read a failure. Returns the seconds until the next step."""
        was_stopped = (self.microseconds() - began) / SECOND > LATE
        if is_refused(error) and not was_stopped:
            if batch.is_in_doubt and not ends_doubt(error):
                return self._refused_in_doubt(batch, error)
            return self._refused(batch, error)
        if isinstance(error, MaybePushed) or batch.is_in_doubt or was_stopped:
            return self._away(attrs.evolve(batch, is_in_doubt=True), error)
        self.table.release(batch.ids)  # it was not sent
        self.table.commit()
        return self._pause(error)

    def _refused(self, batch: Batch, error: CometifyError) -> float:
        """Release a batch that the server has refused, and halve the next one. A row that is refused alone is dead."""
        self._in_doubt = [other for other in self._in_doubt if other.first_tried_at != batch.first_tried_at]
        self.table.release(batch.ids)
        if is_of_the_push(error) and len(batch.rows) == 1:
            self._bury(batch.rows[0], f"{error.code}: {error.detail}")
        self.table.commit()
        if is_fatal(error):
            raise Stopped(error.detail)
        if not is_of_the_push(error):
            return self._pause(error)
        self._size = max(1, len(batch.rows) // 2)
        self.failures = 0
        return 0.0

    def _refused_in_doubt(self, batch: Batch, error: CometifyError) -> float:
        """Read a refusal for which the server did not look at the key. An earlier request may have been accepted."""
        if is_fatal(error):
            raise Stopped(error.detail)
        if not is_of_the_push(error):
            return self._away(batch, error)
        try:
            missing, _unknown = self._look(batch)  # a gap proves nothing here, because the refusal does
        except CometifyError as failure:
            return self._away(batch, failure)
        self._release(batch, missing)
        return 0.0

    def _away(self, batch: Batch, error: CometifyError) -> float:
        """Keep a batch in doubt, and try it again later."""
        pause = self._pause(error)
        self._postpone(batch, self.microseconds() + int(max(pause, _pause(batch.tries)) * SECOND))
        return pause

    def _postpone(self, batch: Batch, due: int) -> None:
        others = [other for other in self._in_doubt if other.first_tried_at != batch.first_tried_at]
        self._in_doubt = sorted([*others, attrs.evolve(batch, due=due)], key=lambda one: one.rows[0].id)

    def _pause(self, error: CometifyError) -> float:
        pause = max(error.retry_after or 0.0, _pause(self.failures))
        self.failures += 1
        self.watcher.failed(error, pause)
        return pause

    def _end(self, ids: list[int]) -> None:
        """Let rows end that were pushed. The next commit makes it last."""
        if self.keep:
            self.table.mark_sent(ids)
        else:
            self.table.remove(ids)

    def _bury(self, row: Row, error: str) -> None:
        self.table.bury([row.id], error)
        self.watcher.buried(row, error)


def _pause(failures: int) -> float:
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 10))
    return longest * random.uniform(0.75, 1.0)
