"""/console of several workers.

Each worker tells of itself, and one of them asks all nodes. So the workers of this machine are shown even while Redis is away,
and those of this machine have their numbers. A worker that is silent tells nothing. The supervisor tells of it instead.
"""

import json
from collections.abc import Generator, Mapping
from typing import Any
from urllib.parse import urlencode

from twisted.internet import defer

from cometify.admin.console import QUESTIONS, Path, answer_reports
from cometify.admin.console_actions import ACTIONS
from cometify.admin.process_report import encode
from cometify.admin.worker_client import ANSWER_OF_ALL_TIMEOUT, Answer, WorkerClient, WorkerRequest
from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.exchange import NO_SNIFF, PROBLEM, Exchange, Headers
from cometify.http.site import Endpoint

Reports = dict[str, dict[str, Any]]
"""Reports by the id of their process."""


class WorkersReport(Endpoint):
    """One kind of report, of all workers and of all nodes."""

    methods = (b"GET",)

    def __init__(self, name: str, workers: WorkerClient) -> None:
        self._name = name
        self._workers = workers

    def headers(self, request: Exchange) -> Headers:
        return NO_SNIFF

    def serve(self, request: Exchange) -> None:
        # A wrong request is refused here, once. The workers get a query of our own making and not the sender's bytes.
        question = QUESTIONS[self._name](request)
        query = urlencode({name: value for name, value in question.items() if name != "about"})
        self._gather(f"/console/{self._name}?{query}").addCallback(self._answer, request).addErrback(
            self.failed, request
        )

    @defer.inlineCallbacks
    def _gather(self, target: str) -> Generator["defer.Deferred[Any]", Any, tuple[Reports, list[bytes], str | None]]:
        everywhere = self._workers.ask_one(WorkerRequest(target.encode(), within=ANSWER_OF_ALL_TIMEOUT))
        own = yield self._workers.ask(f"{target}&own=".encode())
        # Now, because a silent worker may be killed and replaced before all nodes have answered.
        silences = {worker: worker.silence() for worker, its in own.items() if its is None}
        silent = [
            encode({"worker": worker.number, "pid": worker.pid, "seconds": round(seconds)})
            for worker, seconds in silences.items()
            if seconds
        ]
        answer: Answer | None = yield everywhere
        reports: Reports = {}
        alone: str | None = "No worker has answered."
        if answer is not None and answer.status == 200:
            found = json.loads(answer.body)
            alone = found["alone"]
            reports = {report["id"]: report for report in found["processes"]}
        for worker, its in own.items():
            if its is not None and its.status == 200:
                (report,) = json.loads(its.body)["processes"]
                reports[report["id"]] = {**report, "worker": worker.number, "deaths": worker.deaths}
        return reports, silent, alone

    @staticmethod
    def _answer(gathered: tuple[Reports, list[bytes], str | None], request: Exchange) -> None:
        reports, silent, alone = gathered
        if not reports:
            raise Refused(errors.ENGINE_UNAVAILABLE, "No worker has answered: ask again in a moment.")
        answer_reports(request, map(encode, reports.values()), alone, silent)


PASSED_ON = ("content-type", "cometify-timestamp", "cometify-nonce", "cometify-signature", "idempotency-key")
"""Headers that a worker gets as they came."""


class WorkersAction(Endpoint):
    """Passes a request on to one worker after the other, until one answers.

    A request can reach two workers. That does no harm: all nodes know the nonce of a signed one, and the others change nothing
    the second time.
    """

    def __init__(self, workers: WorkerClient, like: type[Endpoint]) -> None:
        self._workers = workers
        self.methods = like.methods
        self.max_body = like.max_body

    def headers(self, request: Exchange) -> Headers:
        return NO_SNIFF

    def serve(self, request: Exchange) -> None:
        query, _body = request.asked()
        found = [(name, request.header(name)) for name in PASSED_ON]
        headers = tuple([(name.encode(), value.encode()) for name, value in found if value is not None])
        passed_on = WorkerRequest(
            request.sent_path + b"?" + query if query else request.sent_path,
            request.method,
            headers,
            None if request.method == b"GET" else request.body(),
            ANSWER_OF_ALL_TIMEOUT,
        )
        self._workers.ask_one(passed_on).addCallback(self._answer, request).addErrback(self.failed, request)

    @staticmethod
    def _answer(answer: Answer | None, request: Exchange) -> None:
        if answer is None:
            raise Refused(errors.ENGINE_UNAVAILABLE, "No worker has answered: ask again in a moment.")
        request.answer(answer.status, b"application/json" if answer.status == 200 else PROBLEM, answer.body)


def workers_console_endpoints(workers: WorkerClient) -> Mapping[Path, Endpoint]:
    """The endpoints by their path."""
    reports: dict[Path, Endpoint] = {("console", name): WorkersReport(name, workers) for name in QUESTIONS}
    actions: dict[Path, Endpoint] = {
        ("console", name): WorkersAction(workers, action) for name, action in ACTIONS.items()
    }
    return {**reports, **actions}
