"""The reports of one process for the console, which asks all processes of all nodes.

A question is a JSON object. Its `about` names the report:

- `history`: the state of the process, and its samples that are newer than `since` (Unix seconds);
- `accounts`: what each account did here in the last minute;
- `account`: the samples of one account that are newer than `since`;
- `refusals`: the last refusals;
- `identifier`: the listeners of one identifier, and who of them is behind;
- `webhooks`: the webhooks that this process sends to, those that fail first.

Each report has the `id` of its process. No report has a text, a secret, a token or an address.
"""

import json
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from heapq import nlargest
from typing import Any, cast

import attrs

from cometify import __version__
from cometify.admin.inspector import Inspector
from cometify.admin.sampler import Sampler
from cometify.core.histogram import BOUNDS
from cometify.core.recent_refusals import RecentRefusals
from cometify.core.usage import Usage
from cometify.webhooks.sender import WebhookState

Report = Mapping[str, object]
Question = Mapping[str, Any]


def encode(value: object) -> bytes:
    """The JSON of a report or a question, without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


MOST_ACCOUNTS = 200
"""Accounts of a report that have listeners, those with the most; and webhooks of a report."""


@attrs.define(eq=False)
class ProcessReports:
    """`state()`: whether this process is ready, and other words about it. `wall`: the wall clock, in Unix seconds."""

    inspector: Inspector
    sampler: Sampler
    usage: Usage
    refusals: RecentRefusals
    webhooks: Callable[[], list[WebhookState]]
    state: Callable[[], Report]
    wall: Callable[[], float]
    id: str = attrs.field(factory=lambda: secrets.token_hex(8))
    started: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.started = self.wall()

    def answer(self, question: str) -> bytes:
        """Answer a question, which a node of any version may have asked. One that is not known gets no report."""
        asked = cast("Question", json.loads(question))
        make = _REPORTS.get(asked.get("about", ""))
        report = {} if make is None else make(self, asked)
        return encode({"id": self.id, "host": socket.gethostname(), "pid": os.getpid(), **report})

    def _history(self, asked: Question) -> Report:
        return {
            "version": __version__,
            "started": self.started,
            "now": self.wall(),
            **self.state(),
            "bounds": BOUNDS,
            "history": self.sampler.history.since(asked["since"]),
        }

    def _accounts(self, _asked: Question) -> Report:
        listeners = {key: counts.listeners for key, counts in self.usage.figures().items() if counts.listeners}
        most = nlargest(MOST_ACCOUNTS, listeners.items(), key=lambda item: item[1])
        return {"last_minute": self.sampler.accounts.last_minute(), "listeners": dict(most)}

    def _account(self, asked: Question) -> Report:
        return {"history": self.sampler.accounts.since(asked["account"], asked["since"])}

    def _refusals(self, _asked: Question) -> Report:
        return {"refusals": [attrs.asdict(row) for row in self.refusals.rows()]}

    def _identifier(self, asked: Question) -> Report:
        channel = asked["account"], asked["identifier"]
        return {"identifier": {**self.inspector.channel(channel), "slow": self.inspector.slow(channel)}}

    def _webhooks(self, _asked: Question) -> Report:
        sending = [state for state in self.webhooks() if state.sends]
        most = nlargest(MOST_ACCOUNTS, sending, key=lambda state: (state.failing_since is not None, state.waiting))
        return {"webhooks": [attrs.asdict(state) for state in most]}


_REPORTS: Mapping[str, Callable[[ProcessReports, Question], Report]] = {
    "history": ProcessReports._history,
    "accounts": ProcessReports._accounts,
    "account": ProcessReports._account,
    "refusals": ProcessReports._refusals,
    "identifier": ProcessReports._identifier,
    "webhooks": ProcessReports._webhooks,
}
