"""The events of webhooks on a server that is alone: see `IWebhookEvents`. They end with the process."""

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed

from cometify.core.webhook_events import Report, Taken, WebhookQueue


class MemoryWebhooks:
    """`clock`: the engine clock, in microseconds."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._queues: dict[str, WebhookQueue] = {}

    def _queue(self, api_key: str) -> WebhookQueue:
        queue = self._queues.get(api_key)
        if queue is None:
            queue = self._queues[api_key] = WebhookQueue(self._clock())
        return queue

    def report(self, api_key: str, report: Report, *, again: bool) -> Deferred[bool]:
        self._queue(api_key).report(report, self._clock())
        return succeed(True)

    def take(self, api_key: str) -> Deferred[Taken]:
        return succeed(self._queue(api_key).take(self._clock()))

    def done(self, api_key: str, number: int, *, given_up: bool) -> Deferred[None]:
        self._queue(api_key).done(number, given_up=given_up)
        return succeed(None)

    def forget(self, api_key: str) -> None:
        self._queues.pop(api_key, None)
