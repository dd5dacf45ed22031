"""/console on the admin endpoint: the figures behind the console's page, as JSON.

- GET /console/processes, /accounts, /account, /refusals, /identifier, /webhooks: the reports of all processes of all nodes, see
  `ProcessReports`. If the other nodes cannot be asked, `alone` says why, and the reports are those of this process.
- the lists and actions of `console_actions.py`.

The form of this JSON may change with each version.
"""

import json
from collections.abc import Callable, Iterable, Mapping

import attrs
from twisted.python.failure import Failure

from cometify.admin.console_actions import Service, action_endpoints
from cometify.admin.inspector import Inspector
from cometify.admin.metrics import Figures
from cometify.admin.process_report import ProcessReports, Report, encode
from cometify.admin.sampler import Sampler
from cometify.core import errors
from cometify.core.errors import Refused
from cometify.core.identifier import EXTENDED, Identifier
from cometify.core.integer import MAX_EXACT, read_integer
from cometify.core.recent_refusals import RecentRefusals
from cometify.core.usage import Usage
from cometify.http.exchange import NO_SNIFF, Exchange, Headers
from cometify.http.site import Endpoint
from cometify.interfaces import IAccounts, INodes
from cometify.runtime.epoll_loop import CallSoon
from cometify.webhooks.webhooks import Webhooks

Path = tuple[str, ...]


def _read_since(request: Exchange) -> int:
    return read_integer(request.query().get("since", ["0"])[-1], "since", MAX_EXACT)


def _read(request: Exchange, name: str) -> str:
    value = request.query().get(name, [""])[-1]
    if not value:
        raise Refused(errors.MISSING_PARAMETER, f"{name} is missing: name it in the query.")
    return value


QUESTIONS: Mapping[str, Callable[[Exchange], Mapping[str, object]]] = {
    "processes": lambda request: {"about": "history", "since": _read_since(request)},
    "accounts": lambda _request: {"about": "accounts"},
    "account": lambda request: {
        "about": "account", "account": _read(request, "account"), "since": _read_since(request),
    },
    "refusals": lambda _request: {"about": "refusals"},
    "webhooks": lambda _request: {"about": "webhooks"},
    "identifier": lambda request: {
        "about": "identifier",
        "account": _read(request, "account"),
        "identifier": Identifier.read(_read(request, "identifier"), EXTENDED).folded,
    },
}  # fmt: skip
"""The last segment of the path, and the question that a request becomes."""


def answer_reports(
    request: Exchange, reports: Iterable[bytes], alone: str | None = None, silent: Iterable[bytes] = ()
) -> None:
    """Answer with the reports of processes. `alone`: why other nodes are missing, or None. `silent`: workers that are."""
    parts = json.dumps(alone).encode(), b",".join(silent), b",".join(reports)
    body = b'{"alone":%b,"silent":[%b],"processes":[%b]}' % parts
    request.answer(200, b"application/json", body)


class ReportEndpoint(Endpoint):
    """One kind of report. `own` in the query asks for this process alone."""

    methods = (b"GET",)

    def __init__(self, name: str, reports: ProcessReports, nodes: INodes) -> None:
        self._read_question = QUESTIONS[name]
        self._reports = reports
        self._nodes = nodes

    def headers(self, request: Exchange) -> Headers:
        return NO_SNIFF

    def serve(self, request: Exchange) -> None:
        question = encode(self._read_question(request)).decode()
        if "own" in request.query():
            answer_reports(request, [self._reports.answer(question)])
            return
        asked = self._nodes.ask(question)
        asked.addCallbacks(
            lambda answers: answer_reports(request, answers),
            self._alone,
            errbackArgs=(question, request),
        )
        asked.addErrback(self.failed, request)

    def _alone(self, failure: Failure, question: str, request: Exchange) -> None:
        failure.trap(Refused)
        answer_reports(request, [self._reports.answer(question)], "Redis is away, so that other nodes cannot be asked.")


@attrs.frozen(eq=False)
class Console:
    """The parts of the console in a server that is one process, or in one of several workers.

    `state()`: see `ProcessReports`. `wall`: the wall clock, in Unix seconds.
    """

    figures: Figures
    usage: Usage
    accounts: IAccounts
    webhooks: Webhooks
    call_soon: CallSoon
    wall: Callable[[], float]
    state: Callable[[], Report]
    sampler: Sampler = attrs.field(init=False)
    inspector: Inspector = attrs.field(init=False)
    endpoints: Mapping[Path, Endpoint] = attrs.field(init=False)

    @sampler.default
    def _make_sampler(self) -> Sampler:
        return Sampler(self.figures, self.usage, self.call_soon, self.wall)

    @inspector.default
    def _make_inspector(self) -> Inspector:
        return Inspector(self.figures.engine, self.figures.registry, self.figures.heartbeats)

    @endpoints.default
    def _make_endpoints(self) -> Mapping[Path, Endpoint]:
        refusals = RecentRefusals()
        self.usage.noted = lambda account, refused: refusals.note(self.wall(), account, refused)
        reports = ProcessReports(
            self.inspector, self.sampler, self.usage, refusals, self.webhooks.states, self.state, self.wall
        )
        nodes = self.figures.engine.nodes
        nodes.answer_with(reports.answer)
        actions = action_endpoints(Service(self.accounts, self.figures.engine, self.wall))
        return {**actions, **{("console", name): ReportEndpoint(name, reports, nodes) for name in QUESTIONS}}
