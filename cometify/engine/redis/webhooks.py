"""The events of webhooks over all nodes: see `IWebhookEvents`. webhook_report.lua explains how they are kept in Redis."""

from typing import cast

from twisted.internet import defer
from twisted.internet.defer import Deferred

from cometify.core.webhook_events import MOST_IN_BATCH, MOST_WAITING, SECOND, SUM_REFUSALS, Batch, Report, Taken
from cometify.engine.redis import unavailable
from cometify.engine.redis.connection import Answer, Argument
from cometify.engine.redis.run_script import RunScript
from cometify.engine.redis.scripts import WEBHOOK_DONE, WEBHOOK_REPORT, WEBHOOK_TAKE, Script

LEASE = 15.0
"""Seconds after its last call in which a node still counts: as the one that sends, and with its listeners."""


class RedisWebhooks:
    """`run`: see `RunScript`. `node`: the name of this node."""

    def __init__(self, run: RunScript, node: str) -> None:
        self._run_script = run
        self._node = node

    def _run(self, script: Script[Answer], api_key: str, *args: Argument) -> Deferred[Answer]:
        answered = self._run_script(script, api_key, *args)
        return defer.fail(unavailable.not_followed()) if answered is None else answered

    def report(self, api_key: str, report: Report, *, again: bool) -> Deferred[bool]:
        refused = [part for code in report.refused.items() for part in code]
        answered = self._run(
            WEBHOOK_REPORT, api_key,
            self._node, int(LEASE * SECOND), int(again), len(report.come), len(report.gone),
            *report.come, *report.gone, *refused,
        )  # fmt: skip
        return answered.addCallback(bool)

    def take(self, api_key: str) -> Deferred[Taken]:
        limits = int(LEASE * SECOND), SUM_REFUSALS * SECOND, MOST_WAITING, MOST_IN_BATCH
        return self._run(WEBHOOK_TAKE, api_key, self._node, *limits).addCallback(_read_taken)

    def done(self, api_key: str, number: int, *, given_up: bool) -> Deferred[None]:
        return self._run(WEBHOOK_DONE, api_key, number, int(given_up))

    def forget(self, api_key: str) -> None:
        """Nothing is kept here. Redis forgets the keys of an account after a day without a node that uses them."""


def _read_taken(answer: list[bytes | int]) -> Taken:
    known, sends, waiting, dropped, number, age, body = answer
    batch = Batch(int(number), cast("bytes", body), int(age) / SECOND) if body else None
    return Taken(bool(known), bool(sends), int(waiting), int(dropped), batch)
