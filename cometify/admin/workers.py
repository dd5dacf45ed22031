"""The admin endpoint of several workers: one target for Prometheus and for health checks, which asks them all.

Each worker serves the same paths as a server that is one process. The figures of a worker have the label `worker`, so
that each series belongs to one process. A counter begins at 0 again with a new process, as Prometheus expects. Sums over
the workers are left to Prometheus.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlencode

from prometheus_client import PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from cometify.admin.inspect_endpoint import answer_inspected, read_channel
from cometify.admin.metrics import answer_figures
from cometify.admin.worker_client import Answer, WorkerClient
from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.exchange import NO_SNIFF, Exchange, Headers
from cometify.http.site import Endpoint
from cometify.runtime.worker_process import WorkerProcess

Answers = Mapping[WorkerProcess, Answer | None]
"""The answers by worker, None for a worker that has not answered."""


class _Gathered(Collector):
    """The figures of all workers and of the supervisor, each family once."""

    def __init__(self, answers: Answers, own: Iterable[Collector]) -> None:
        self._families: dict[str, Metric] = {}
        for worker, answer in answers.items():
            if answer is not None:
                for family in text_string_to_metric_families(answer.body.decode()):
                    self._add(family, {"worker": str(worker.number)})
        for collector in (ProcessCollector(registry=None), PlatformCollector(registry=None), *own):
            for family in collector.collect():
                self._add(family, {})
        for family in _of_workers(answers):
            self._add(family, {})

    def _add(self, family: Metric, labels: Mapping[str, str]) -> None:
        mine = self._families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        for sample in family.samples:
            mine.add_sample(sample.name, {**sample.labels, **labels}, sample.value)

    def collect(self) -> Iterator[Metric]:
        return iter(self._families.values())


def _of_workers(answers: Answers) -> Iterator[Metric]:
    up = GaugeMetricFamily("cometify_worker_up", "1 if the worker answers within a second.", labels=["worker"])
    deaths = CounterMetricFamily(
        "cometify_worker_deaths",
        "Processes that died under this worker's number and were replaced.",
        labels=["worker"],
    )
    silences = CounterMetricFamily(
        "cometify_worker_silences",
        "Times that a worker gave no sign of life for three seconds, because it was stopped or busy.",
        labels=["worker"],
    )
    for worker, answer in answers.items():
        silences.add_metric([str(worker.number)], worker.signs.silences)
        up.add_metric([str(worker.number)], answer is not None)
        deaths.add_metric([str(worker.number)], worker.deaths)
    yield up
    yield deaths
    yield silences


class WorkersMetrics(Endpoint):
    """/metrics of all workers. See `MetricsEndpoint` for the formats. `own`: figures of the supervisor itself."""

    methods = (b"GET", b"HEAD")

    def __init__(self, workers: WorkerClient, *own: Collector) -> None:
        self._workers = workers
        self._own = own

    def headers(self, request: Exchange) -> Headers:
        return NO_SNIFF

    def serve(self, request: Exchange) -> None:
        asked = self._workers.ask(b"/metrics")
        asked.addCallback(lambda answers: answer_figures(request, _Gathered(answers, self._own)))
        asked.addErrback(self.failed, request)


class WorkersInspect(Endpoint):
    """/inspect of all workers: each tells of its own listeners."""

    methods = (b"GET", b"HEAD")

    def __init__(self, workers: WorkerClient) -> None:
        self._workers = workers

    def headers(self, request: Exchange) -> Headers:
        return NO_SNIFF

    def serve(self, request: Exchange) -> None:
        # A wrong request is refused here, once. The workers get a query of our own making and not the sender's bytes.
        channel = read_channel(request)
        query = "" if channel is None else urlencode(dict(zip(("account", "identifier"), channel, strict=True)))
        asked = self._workers.ask(b"/inspect?" + query.encode())
        asked.addCallback(self._answer, request).addErrback(self.failed, request)

    @staticmethod
    def _answer(answers: Answers, request: Exchange) -> None:
        processes: list[dict[str, object]] = []
        for worker, answer in answers.items():
            if answer is not None and answer.status == 200:
                (process,) = json.loads(answer.body)["processes"]
                processes.append({"worker": worker.number, **process})
        if not processes:
            raise Refused(errors.ENGINE_UNAVAILABLE, "No worker has answered: ask again in a moment.")
        answer_inspected(request, processes)
