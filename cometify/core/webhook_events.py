"""The events of one account's webhook: their words, their order, and the bound on those that wait.

The id of an event is a time in microseconds, and grows strictly. A receiver that drops every event whose id is not above the
last one has seen each event once, whatever was sent twice.

Events wait until the receiver has answered. They are sent in *batches*. A batch stays as it is until it was taken or given up,
so that its second try has the same bytes as its first. The oldest events are dropped while too many wait. The next batch then
begins with an event that tells their number.

`WebhookQueue` is for an engine in memory. With Redis the scripts webhook_*.lua do the same.
"""

import json
from collections import Counter, deque
from collections.abc import Iterable, Mapping

import attrs

MOST_WAITING = 10_000
"""Events of one account that wait. Each takes some 250 bytes of memory."""
MOST_IN_BATCH = 100
"""Events of one request."""
SUM_REFUSALS = 60
"""Seconds for which refusals are summed up into one event."""
SECOND = 1_000_000


@attrs.frozen
class Report:
    """Changes at one node since its last report.

    `come`, `gone`: the identifiers that have their first listener there, and those whose last one has left. `refused`: the
    numbers of refusals, by the name of the code.
    """

    come: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    refused: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Batch:
    """The events of one request, as a JSON array.

    `id`: that of the last event. `age`: the seconds since the batch was made.
    """

    id: int
    body: bytes
    age: float


@attrs.frozen
class Taken:
    """The answer to a node that asks for work.

    `is_known`: the engine knows what this node has reported. Otherwise the node must report everything again. `sends`: this
    node is the one that sends. `waiting`: the events that wait, beside those of the batch. `dropped`: the events that were
    dropped during this call.
    """

    is_known: bool = True
    sends: bool = True
    waiting: int = 0
    dropped: int = 0
    batch: Batch | None = None


class WebhookQueue:
    """The events of one account on a server that is alone. Every `now` is the engine clock, in microseconds."""

    def __init__(self, now: int) -> None:
        self._last = now - 1
        self._waiting: deque[tuple[int, str]] = deque()
        self._dropped = 0  # not told yet
        self._dropped_id = 0
        self._dropped_lately = 0  # since the last `take`
        self._batch: tuple[int, int, bytes, int] | None = None  # id, number of events, body, and when it was made
        self._refused: Counter[str] = Counter()
        self._refused_since = 0
        self._add("reset", now)

    def report(self, report: Report, now: int) -> None:
        """Note what has changed."""
        for identifier in report.come:
            self._add("occupied", now, identifier=identifier)
        for identifier in report.gone:
            self._add("vacated", now, identifier=identifier)
        if report.refused:
            if not self._refused:
                self._refused_since = now
            self._refused.update(report.refused)

    def take(self, now: int) -> Taken:
        """Return the batch to send now, the same one until `done` is called."""
        if self._refused and now - self._refused_since >= SUM_REFUSALS * SECOND:
            self._add("refused", now, codes=dict(sorted(self._refused.items())))
            self._refused.clear()
        if self._batch is None and (self._waiting or self._dropped):
            self._make_batch(now)
        dropped, self._dropped_lately = self._dropped_lately, 0
        batch = None
        if self._batch is not None:
            number, _count, body, made = self._batch
            batch = Batch(number, body, (now - made) / SECOND)
        return Taken(waiting=len(self._waiting), dropped=dropped, batch=batch)

    def done(self, number: int, *, given_up: bool) -> None:
        """End the batch with this id. `given_up`: the receiver has not taken it, so its events count as dropped."""
        if self._batch is None or self._batch[0] != number:
            return
        if given_up:
            self._drop(self._batch[1], number)
        self._batch = None

    def _add(self, kind: str, now: int, **more: object) -> None:
        self._last = max(now, self._last + 1)
        self._waiting.append((self._last, _event(kind, self._last, **more)))
        if len(self._waiting) > MOST_WAITING:
            number, _event_text = self._waiting.popleft()
            self._drop(1, number)

    def _drop(self, count: int, number: int) -> None:
        self._dropped += count
        self._dropped_lately += count
        self._dropped_id = max(self._dropped_id, number)

    def _make_batch(self, now: int) -> None:
        events: list[tuple[int, str]] = []
        told = 0
        if self._dropped:
            told, self._dropped = self._dropped, 0
            events.append((self._dropped_id, _event("dropped", self._dropped_id, count=told)))
        events += [self._waiting.popleft() for _ in range(min(MOST_IN_BATCH - len(events), len(self._waiting)))]
        count = told + len(events) - bool(told)
        self._batch = events[-1][0], count, _array(text for _number, text in events), now


def _event(kind: str, number: int, **more: object) -> str:
    return json.dumps({"type": kind, "id": number, "time": number // SECOND, **more}, separators=(",", ":"))


def _array(events: Iterable[str]) -> bytes:
    return f"[{','.join(events)}]".encode()
