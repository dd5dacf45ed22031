"""The admin endpoint of several workers: one target for Prometheus and for health checks, which asks them all.

Each worker serves what a server by itself does, on a Unix socket. Its figures are told with the label `worker`, so that
a counter that begins anew with a new process is what Prometheus expects of a series, and sums are Prometheus' to make.
"""

import json
import re
from collections.abc import Generator, Iterator, Mapping
from functools import partial
from typing import Any

import attrs
from prometheus_client import PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from twisted.internet import defer
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from cometify.admin.inspector import NOT_SNIFFED, answer_inspected, channel_asked
from cometify.admin.metrics import answer_figures
from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.exchange import Exchange, Headers
from cometify.http.site import Endpoint
from cometify.runtime.supervisor import Supervisor, WorkerProcess

PATIENCE = 1
"""Seconds in which a worker must have answered."""

Told = tuple[int, bytes]
"""The status and the body of an answer."""


class _Question(Protocol):
    """A GET that reads to the end: the little that one process of ours needs to ask another."""

    def __init__(self, path: bytes) -> None:
        self.answer: defer.Deferred[Told] = defer.Deferred(lambda _answer: self._give_up())
        self._path = path
        self._data = b""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"GET %b HTTP/1.0\r\n\r\n" % self._path)

    def dataReceived(self, data: bytes) -> None:
        self._data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.answer.called:
            return
        head, _, body = self._data.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        if length is None or len(body) != int(length[1]):  # the worker has died over it
            self.answer.errback(reason)
        else:
            self.answer.callback((int(head.split()[1]), body))

    def _give_up(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()


@defer.inlineCallbacks
def _ask(reactor: Any, worker: WorkerProcess, path: bytes) -> Generator["defer.Deferred[Any]", Any, Told]:
    factory = Factory()
    factory.noisy = False
    factory.protocol = partial(_Question, path)
    question: Any = yield UNIXClientEndpoint(reactor, str(worker.socket), timeout=PATIENCE).connect(factory)
    answer: Told = yield question.answer
    return answer


@attrs.frozen
class Workers:
    """All workers of a supervisor, to be asked."""

    reactor: Any
    supervisor: Supervisor

    def _each(self, path: bytes) -> "dict[WorkerProcess, defer.Deferred[Told | None]]":
        return {
            worker: _ask(self.reactor, worker, path)
            .addTimeout(PATIENCE, self.reactor)
            .addErrback(lambda _failure: None)
            for worker in self.supervisor.workers
        }

    def ask(self, path: bytes) -> "defer.Deferred[dict[WorkerProcess, Told | None]]":
        """What each worker answers; None of one that is not there, or has not answered in time."""
        asked = self._each(path)
        return defer.gatherResults(asked.values()).addCallback(lambda told: dict(zip(asked, told, strict=True)))

    def why_not_ready(self) -> "defer.Deferred[str | None]":
        """Why no work should be sent here, or None: one worker that is ready is enough."""
        if self.supervisor.draining:
            return defer.succeed("draining")
        known: defer.Deferred[str | None] = defer.Deferred()

        def look(told: Told | None) -> Told | None:
            if told is not None and told[0] == 200 and not known.called:  # whoever hangs is not waited for
                known.callback(None)
            return told

        def all_have_told(told: list[Told | None]) -> None:
            if not known.called:
                known.callback(next((json.loads(answer[1])["reason"] for answer in told if answer), "no_worker"))

        asked = [answer.addCallback(look) for answer in self._each(b"/health/ready").values()]
        defer.gatherResults(asked).addCallback(all_have_told).addErrback(known.errback)
        return known


class _Gathered(Collector):
    """The figures of all workers and of the supervisor, each family once."""

    def __init__(self, told: Mapping[WorkerProcess, Told | None]) -> None:
        self._families: dict[str, Metric] = {}
        for worker, answer in told.items():
            if answer is not None:
                self._add(answer[1].decode(), {"worker": str(worker.number)})
        for own in (ProcessCollector(registry=None), PlatformCollector(registry=None)):
            for family in own.collect():
                self._add_family(family, {})
        for family in _of_workers(told):
            self._add_family(family, {})

    def _add(self, text: str, labels: Mapping[str, str]) -> None:
        for family in text_string_to_metric_families(text):
            self._add_family(family, labels)

    def _add_family(self, family: Metric, labels: Mapping[str, str]) -> None:
        mine = self._families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        for sample in family.samples:
            mine.add_sample(sample.name, {**sample.labels, **labels}, sample.value)

    def collect(self) -> Iterator[Metric]:
        return iter(self._families.values())


def _of_workers(told: Mapping[WorkerProcess, Told | None]) -> Iterator[Metric]:
    up = GaugeMetricFamily("cometify_worker_up", "Whether a worker answers.", labels=["worker"])
    deaths = CounterMetricFamily(
        "cometify_worker_deaths", "Processes of a worker that have died and were replaced.", labels=["worker"]
    )
    for worker, answer in told.items():
        up.add_metric([str(worker.number)], answer is not None)
        deaths.add_metric([str(worker.number)], worker.deaths)
    yield up
    yield deaths


class WorkersMetrics(Endpoint):
    """As `MetricsEndpoint`, for all workers."""

    methods = (b"GET", b"HEAD")

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def serve(self, request: Exchange) -> None:
        told = self._workers.ask(b"/metrics")
        told.addCallback(lambda answers: answer_figures(request, _Gathered(answers)))
        told.addErrback(self.failed, request)


class WorkersInspect(Endpoint):
    """/inspect of all workers: each tells of its own listeners."""

    methods = (b"GET", b"HEAD")

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def headers(self, request: Exchange) -> Headers:
        return NOT_SNIFFED

    def serve(self, request: Exchange) -> None:
        channel_asked(request)  # what is wrong is refused here, once
        told = self._workers.ask(b"/inspect?" + request.asked()[0])
        told.addCallback(self._answer, request).addErrback(self.failed, request)

    @staticmethod
    def _answer(told: Mapping[WorkerProcess, Told | None], request: Exchange) -> None:
        processes = []
        for worker, answer in told.items():
            if answer is not None and answer[0] == 200:
                (process,) = json.loads(answer[1])["processes"]
                processes.append({"worker": worker.number, **process})
        if not processes:
            raise Refused(errors.ENGINE_UNAVAILABLE, "No worker has answered: look again in a moment.")
        answer_inspected(request, processes)
