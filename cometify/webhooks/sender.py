"""Sends the batches of one account, one at a time: tries, pauses, and when a batch is given up."""

import random
from collections.abc import Callable
from typing import Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from cometify.core.account import Account
from cometify.core.webhook_events import Batch
from cometify.core.webhook_url import without_query
from cometify.webhooks.requests import NotTakenError

log = Logger()

GIVE_UP_AFTER = 300.0
"""Seconds after which a batch that the receiver has not taken is given up."""
LONGEST_PAUSE = 60.0
"""Seconds between two tries, at most."""

LOG_EVERY = 60.0
"""Seconds between two lines of the log about one account, at least."""


class Send(Protocol):
    """See `WebhookClient.send`."""

    def __call__(self, account: Callable[[], Account], batch: Batch, *, is_retry: bool) -> Deferred[None]: ...


@attrs.define(eq=False)
class WebhookState:
    """The state of one account's webhook at this node, for a person who looks after it. Times are Unix seconds.

    `url`: without its query, which may hold a secret. `sends`: this node is the one that sends, so the rest is known here.
    `waiting`: the events that wait. `failing_since`: None while the receiver takes what is sent.
    """

    api_key: str
    url: str
    sends: bool = False
    waiting: int = 0
    last_success: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None
    failing_since: float | None = None


@attrs.define
class Totals:
    """Counts of all accounts of this node. `accepted`, `failed`: requests."""

    accepted: int = 0
    failed: int = 0
    dropped: int = 0


class Sender:
    """`send`: sends a batch. `done(number, given_up)`: ends a batch. `seconds` is a clock that never goes back."""

    def __init__(
        self,
        account: Account,
        send: Send,
        done: Callable[[int, bool], object],
        seconds: Callable[[], float],
        wall: Callable[[], float],
        totals: Totals,
    ) -> None:
        self._send = send
        self._done = done
        self._seconds = seconds
        self._wall = wall
        self._totals = totals
        self._failures = 0  # since the last batch that was taken
        self._tried: int | None = None  # the batch that was sent last
        self._not_before = 0.0
        self._sending: Deferred[None] | None = None
        self._is_stopped = False
        self._logged_at = -LOG_EVERY
        self.change_account(account)

    def change_account(self, account: Account) -> None:
        """Use this account from the next try on. If it has another webhook then the next try is made at once."""
        self._account = account
        self._failures, self._not_before = 0, 0.0
        self._is_told = False  # the last line of the log says that it fails
        self.state = WebhookState(account.api_key, without_query(account.webhook or ""))

    def offer(self, batch: Batch) -> None:
        """Send a batch, unless a request is under way or it is too soon after one that failed."""
        if self._sending is not None:
            return
        if self._tried == batch.id and self._failures and batch.age >= GIVE_UP_AFTER:
            self._done(batch.id, True)
            return
        if self._seconds() < self._not_before:
            return
        self._tried = batch.id
        sending = self._sending = self._send(lambda: self._account, batch, is_retry=self._failures > 0)
        sending.addCallbacks(self._taken, self._failed, callbackArgs=(batch,))
        sending.addErrback(lambda failure: log.failure("A webhook's request has failed", failure))

    def stop(self) -> None:
        """End the request under way, and send nothing more. Its batch is not done."""
        self._is_stopped = True
        if self._sending is not None:
            self._sending.cancel()

    def tell(self) -> None:
        """Log whether the webhook fails, if that has changed since the last line, and `LOG_EVERY` has passed."""
        state, now = self.state, self._seconds()
        fails = state.failing_since is not None
        if fails == self._is_told or now - self._logged_at < LOG_EVERY:
            return
        self._is_told, self._logged_at = fails, now
        if not fails:
            log.info("The webhook of account {api_key} answers again", api_key=state.api_key)
            return
        log.error(
            "The webhook {url} of account {api_key} does not take events: {reason}. It is tried again, and this is logged "
            "once. docs/webhooks.md says what to do.",
            url=state.url,
            api_key=state.api_key,
            reason=state.last_error,
        )

    def _taken(self, _none: None, batch: Batch) -> None:
        self._sending = None
        state = self.state
        self._totals.accepted += 1
        self._failures = 0
        state.last_success, state.failing_since = self._wall(), None
        self.tell()
        self._done(batch.id, False)

    def _failed(self, failure: object) -> None:
        self._sending = None
        if self._is_stopped:
            return  # this server has ended the request, so it tells nothing about the receiver
        error = getattr(failure, "value", None)
        assert isinstance(error, NotTakenError), failure
        state, now = self.state, self._wall()
        self._totals.failed += 1
        state.failing_since = state.failing_since or now
        state.last_error, state.last_error_at = str(error), now
        self.tell()
        pause = min(2.0**self._failures, LONGEST_PAUSE) * (1 - random.random() / 4)
        self._failures = min(self._failures + 1, 10)
        self._not_before = self._seconds() + pause
