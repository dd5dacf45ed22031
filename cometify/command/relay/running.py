"""A relay that goes on: it waits for rows, for its turn as the owner, and for a database that is away."""

import os
import select
import signal
import time
from contextlib import suppress
from types import FrameType

from cometify.command.relay.databases import open_table
from cometify.command.relay.metrics import Observer, say
from cometify.command.relay.relay import LONGEST_PAUSE, Relay
from cometify.command.relay.sending import RelayClient
from cometify.command.relay.table import DatabaseAway, OutboxTable

FIRST_PAUSE = 0.1
"""Seconds before the first new session with a database that has ended one."""
OWNER_EVERY = 1.0
"""Seconds between two tries to become the owner."""
STOCK_EVERY = 5.0
"""Seconds between two counts of all rows, for the metrics."""
SWEEP_EVERY = 60.0
"""Seconds between two deletions of rows that were sent long ago."""


class Wakeup:
    """Notes SIGTERM and SIGINT. `descriptor` can be read once one came."""

    def __init__(self) -> None:
        self.descriptor, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.is_set = False
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.is_set = True
        with suppress(OSError):
            os.write(self._write, b"\0")

    def close(self) -> None:
        """Note no further signals."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.descriptor)
        os.close(self._write)

    def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until a signal comes."""
        select.select([self.descriptor], [], [], max(0.0, seconds))


class RunningRelay:
    """One process of `cometify relay`. `observer`: None counts and tells nothing."""

    def __init__(self, url: str, client: RelayClient, observer: Observer, keep: int, *, counts: bool) -> None:
        self._url = url
        self._client = client
        self._observer = observer
        self._keep = keep
        self._counts = counts
        self._wakeup = Wakeup()
        self._counted = self._swept = 0.0
        self._told: str | None = None

    def close(self) -> None:
        """Note no further signals."""
        self._wakeup.close()

    def run_once(self) -> bool:
        """Send the rows that are there. Returns False if some must wait, because the server does not take them.

        Raises `DatabaseAway`, `DatabaseUnusable` or `Stopped`.
        """
        table = open_table(self._url)
        try:
            if not table.own():
                say("Another relay owns the outbox, and sends its rows.")
                return True
            relay = self._relay(table)
            while not self._wakeup.is_set:
                pause = relay.step()
                self._tend(table)
                if pause is None:
                    return True
                if pause > 0:
                    break
            table.commit()
            return False
        finally:
            table.close()

    def run(self) -> None:
        """Send rows until a signal comes. Raises `DatabaseUnusable` or `Stopped`."""
        failures = 0
        while not self._wakeup.is_set:
            table: OutboxTable | None = None
            began = time.monotonic()
            try:
                table = open_table(self._url)
                self._be_owner(table)
                self._tell("")
                self._work(table)
            except DatabaseAway as reason:
                self._tell(f"The database is away: {reason}. The relay tries again.")
                failures = 0 if time.monotonic() - began > LONGEST_PAUSE else failures + 1
                self._observer.owns(False)
                self._wakeup.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 10)))
            finally:
                if table is not None:
                    table.close()

    def _be_owner(self, table: OutboxTable) -> None:
        while not self._wakeup.is_set and not table.own():
            self._tell("Another relay owns the outbox. This one waits for its turn.")
            self._wakeup.sleep(OWNER_EVERY)

    def _work(self, table: OutboxTable) -> None:
        relay = self._relay(table)
        while not self._wakeup.is_set:
            pause = relay.step()
            if not pause:
                self._tend(table)
            if pause is None:
                table.wait(table.poll_every, self._wakeup.descriptor)
            elif relay.failures:
                self._pause(table, pause)
            elif pause > 0:
                table.wait(min(pause, table.poll_every), self._wakeup.descriptor)
        table.commit()

    def _pause(self, table: OutboxTable, seconds: float) -> None:
        """Wait, and keep the session with the database alive meanwhile."""
        until = time.monotonic() + seconds
        while not self._wakeup.is_set and (left := until - time.monotonic()) > 0:
            self._wakeup.sleep(min(left, LONGEST_PAUSE))
            table.ping()

    def _relay(self, table: OutboxTable) -> Relay:
        relay = Relay(table, self._client, self._observer, self._keep)
        relay.take_over()
        self._observer.owns(True)
        return relay

    def _tend(self, table: OutboxTable) -> None:
        """Do the periodic work."""
        now = time.monotonic()
        if self._keep and now - self._swept > SWEEP_EVERY:
            self._swept = now
            table.remove_sent(self._keep)
            table.commit()
        if self._counts and now - self._counted > STOCK_EVERY:
            self._counted = now
            self._observer.stock(table.stock(time.time_ns() // 1000))

    def _tell(self, notice: str) -> None:
        """Tell something once, until something else is to be told."""
        if notice != self._told:
            say(notice or "The relay owns the outbox, and sends its rows.")
        self._told = notice
