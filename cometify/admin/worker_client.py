"""Requests from the supervisor to the admin endpoints of its workers, each on a Unix socket."""

import json
from collections.abc import Generator
from io import BytesIO
from typing import Any, cast

import attrs
from twisted.internet import defer, error
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, FileBodyProducer, ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from cometify.runtime.reactor import Reactor
from cometify.runtime.supervisor import Supervisor
from cometify.runtime.worker_process import WorkerProcess

ANSWER_TIMEOUT = 1
"""Seconds within which a worker must have answered."""
ANSWER_OF_ALL_TIMEOUT = 3
"""Seconds within which a worker must have answered that asks all nodes. These have a second."""
MAX_ANSWER = 32 * 1024 * 1024
"""Bytes of an answer. The longest is /inspect of an identifier with tens of thousands of different groups."""

log = Logger()


@attrs.frozen
class WorkerRequest:
    """A request to a worker. `path`: with the query. `body`: None if it has none. `within`: seconds to wait for the answer."""

    path: bytes
    method: bytes = b"GET"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes | None = attrs.field(default=None, repr=False)
    within: float = ANSWER_TIMEOUT


@attrs.frozen
class Answer:
    """The answer of a worker: the HTTP status and the whole body."""

    status: int
    body: bytes


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class _WorkerEndpoint:
    """The Unix socket of one worker, whatever host the URI names."""

    def __init__(self, reactor: Reactor, worker: WorkerProcess) -> None:
        self._endpoint = UNIXClientEndpoint(reactor, str(worker.socket), timeout=ANSWER_TIMEOUT)

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """See IAgentEndpointFactory."""
        return cast("IStreamClientEndpoint", self)

    def connect(self, protocolFactory: IProtocolFactory) -> "defer.Deferred[IProtocol]":
        """See IStreamClientEndpoint."""
        # Otherwise each scrape would write two lines into the log for each worker.
        cast("Factory", protocolFactory).noisy = False
        connected: defer.Deferred[IProtocol] = self._endpoint.connect(protocolFactory)
        return connected


class AnswerTooLong(Exception):
    """A worker's answer has more than MAX_ANSWER bytes."""


class _Body(Protocol):
    """Collects the body of an answer. `whole` fires with it, and closes the connection if it is cancelled.

    Twisted's `readBody` has no bound. Its cancelling leaves the connection open, because the transport that a response
    gives to its body has no `abortConnection`, which `readBody` needs.
    """

    def __init__(self) -> None:
        self.whole: defer.Deferred[bytes] = defer.Deferred(lambda _whole: self._close())
        self._parts: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= MAX_ANSWER:
            self._parts.append(data)
        elif not self.whole.called:
            self._parts.clear()
            self._close()
            self.whole.errback(AnswerTooLong(f"more than {MAX_ANSWER} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        if reason.check(ResponseDone):
            self.whole.callback(b"".join(self._parts))
        else:
            self.whole.errback(reason)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


@defer.inlineCallbacks
def _request(
    reactor: Reactor, worker: WorkerProcess, request: WorkerRequest
) -> Generator["defer.Deferred[Any]", Any, Answer | None]:
    agent = Agent.usingEndpointFactory(reactor, _WorkerEndpoint(reactor, worker))
    producer = None if request.body is None else FileBodyProducer(BytesIO(request.body))
    headers = Headers({name: [value] for name, value in request.headers})
    # The worker's guard against DNS rebinding accepts this host, because it has no dot.
    url = b"http://worker" + request.path
    response: IResponse = yield agent.request(request.method, url, headers, cast("IBodyProducer", producer))
    body = _Body()
    response.deliverBody(body)
    return Answer(response.code, (yield body.whole))


@attrs.frozen
class WorkerClient:
    """Asks all workers of a supervisor."""

    reactor: Reactor
    supervisor: Supervisor

    def _ask(self, worker: WorkerProcess, request: WorkerRequest) -> "defer.Deferred[Answer | None]":
        asked = _request(self.reactor, worker, request)
        asked.addTimeout(request.within, cast("IReactorTime", self.reactor))
        return asked.addErrback(_not_answered, worker)

    def _ask_each(self, path: bytes) -> "dict[WorkerProcess, defer.Deferred[Answer | None]]":
        return {worker: self._ask(worker, WorkerRequest(path)) for worker in self.supervisor.workers}

    @defer.inlineCallbacks
    def ask_one(self, request: WorkerRequest) -> Generator["defer.Deferred[Any]", Any, Answer | None]:
        """Send a request that may be sent twice to one worker after the other, until one answers. None: none did.

        A worker that is silent comes last, because it would take all of `within`.
        """
        for worker in sorted(self.supervisor.workers, key=lambda worker: worker.silence() > 0):
            answer: Answer | None = yield self._ask(worker, request)
            if answer is not None:
                return answer
        return None

    def ask(self, path: bytes) -> "defer.Deferred[dict[WorkerProcess, Answer | None]]":
        """GET a path from each worker.

        The result has None for a worker that is not there, has not answered in time, or died before the last byte.
        """
        asked = self._ask_each(path)
        return defer.gatherResults(asked.values()).addCallback(lambda answers: dict(zip(asked, answers, strict=True)))

    def why_not_ready(self) -> "defer.Deferred[str | None]":
        """The reason not to send work here, or None: one worker that is ready is enough."""
        if self.supervisor.draining:
            return defer.succeed("draining")
        known: defer.Deferred[str | None] = defer.Deferred()

        def stop_at_the_first_ready(answer: Answer | None) -> Answer | None:
            # The others may be hanging, and a health check must not wait for them.
            if answer is not None and answer.status == 200 and not known.called:
                known.callback(None)
            return answer

        def all_have_answered(answers: list[Answer | None]) -> None:
            if not known.called:
                reasons = [cast("str", json.loads(answer.body)["reason"]) for answer in answers if answer is not None]
                known.callback(reasons[0] if reasons else "no_worker")

        asked = [answer.addCallback(stop_at_the_first_ready) for answer in self._ask_each(b"/health/ready").values()]
        defer.gatherResults(asked).addCallback(all_have_answered).addErrback(known.errback)
        return known


def _not_answered(failure: Failure, worker: WorkerProcess) -> None:
    """Log a failure unless it is one that dead, starting and hanging workers cause."""
    if not failure.check(error.ConnectError, error.ConnectionClosed, ResponseFailed, defer.TimeoutError):
        log.failure("Worker {number} could not be asked", failure, number=worker.number)
