"""The client for Twisted. Its calls return Deferreds."""

from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any, Self, TypeVar, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    ConnectionLost,
    DNSLookupError,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

from . import calls
from .account import AccountClient
from .address import Address, read_given_url
from .calls import Call
from .connections import IDLE_FOR, MAX_ANSWER, MAX_IDLE
from .lists import IdentifierDetails, IdentifierUse, KeptPushes, Usage
from .pushes import ABSENT, Push, Pushed
from .tries import DEFAULT_TIMEOUT, Answer, NoAnswer, Reply, Request, Wait, tries

T = TypeVar("T")
_NOT_CONNECTED = (ConnectError, ConnectingCancelledError, DNSLookupError)
_NEVER_ANSWERED = (RequestTransmissionFailed, ResponseNeverReceived)


class TxCometify(AccountClient):
    """A client whose calls return Deferreds. It keeps its connections alive.

    A Deferred fires within `timeout`, with a result or a `CometifyError`. `reactor`: None for Twisted's own. See
    `AccountClient` for the other arguments.
    """

    def __init__(
        self,
        server: str,
        api_key: str,
        api_secret: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        bearer: bool = False,
        reactor: Any = None,
    ) -> None:
        super().__init__(server, api_key, api_secret, timeout=timeout, bearer=bearer)
        self._exchanges = _Exchanges(self._address, reactor)

    @classmethod
    def from_url(
        cls, url: str | None = None, *, timeout: float = DEFAULT_TIMEOUT, bearer: bool = False, reactor: Any = None
    ) -> Self:
        """See `AccountClient`."""
        found = read_given_url(url, bearer=bearer)
        account = (found.server, found.api_key, found.api_secret)
        return cls(*account, timeout=timeout, bearer=found.bearer, reactor=reactor)

    def push(
        self,
        identifier: str,
        content: object = ABSENT,
        *,
        data: object = ABSENT,
        secret: bool = False,
        push_id: int | None = None,
        event: str | None = None,
        except_: str | None = None,
        idempotency_key: str | None = None,
    ) -> Deferred[Pushed]:
        """Push to one identifier. See `Push` for the arguments.

        `idempotency_key`: calls with the same key push once. By default each call makes a new one, and all its tries have it.
        Raises `CometifyError`, which is a `MaybePushed` if the push may have been made.
        """
        push = Push(identifier, content, data, secret, push_id, event, except_)
        return self._call(lambda: calls.push(push, idempotency_key))

    def batch(self, pushes: Iterable[Push], *, idempotency_key: str | None = None) -> Deferred[list[Pushed]]:
        """Push up to 100 in one request. All are checked before one is pushed. See `push`."""
        return self._call(lambda: calls.batch(pushes, idempotency_key))

    def position(self) -> Deferred[int]:
        """The newest position now. Ask for it before you read the database, and let the page listen from there."""
        return self._call(calls.position)

    async def identifiers(self, prefix: str = "") -> AsyncIterator[IdentifierUse]:
        """The identifiers that are listened to, or that have pushes kept. The list is asked for page by page."""
        after: str | None = ""
        while after is not None:
            page = await self._call(partial(calls.identifiers, prefix, after))
            for use in page.identifiers:
                yield use
            after = page.next

    def identifier(self, identifier: str) -> Deferred[IdentifierDetails]:
        """The listeners and the kept pushes of one identifier, as numbers."""
        return self._call(lambda: calls.identifier(identifier))

    def pushes(self, identifier: str, *, after: int | None = None) -> Deferred[KeptPushes]:
        """The kept pushes of an identifier, secret ones too: those after a position, or of the last ten minutes.

        A page has up to 1,000. `next` of the page is the `after` of the next one.
        """
        return self._call(lambda: calls.kept_pushes(identifier, after))

    def usage(self) -> Deferred[Usage]:
        """The usage of the account in this hour and on each of the last 31 days: pushes, deliveries, listeners, refusals."""
        return self._call(calls.usage)

    def disconnect(self, *, subject: str | None = None, listener: str | None = None) -> Deferred[int]:
        """End the connections of a visitor (the `sub` of tokens), or of a listener id. Returns how many ended."""
        return self._call(lambda: calls.disconnect(subject, listener))

    def close(self) -> Deferred[None]:
        """Close the idle connections. A later call opens new ones."""
        return self._exchanges.close()

    def _call(self, make: Callable[[], Call[T]]) -> Deferred[T]:
        return Deferred.fromCoroutine(self._run(make))

    async def _run(self, make: Callable[[], Call[T]]) -> T:
        steps = tries(make(), self._address, self._timeout, self._exchanges.monotonic)
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                return cast("T", end.value)
            if isinstance(step, Wait):
                await self._exchanges.wait(step.seconds)
                reply = None
            else:
                reply = await self._exchanges.exchange(step)


class _Exchanges:
    """An agent and its pool. The first exchange makes them, because the import of the reactor installs a reactor."""

    def __init__(self, address: Address, reactor: Any) -> None:
        self._address = address
        self._reactor = reactor
        self._pool: HTTPConnectionPool | None = None
        self._agent: Agent | None = None

    def monotonic(self) -> float:
        return cast("float", self._own_reactor().seconds())

    def wait(self, seconds: float) -> Deferred[None]:
        return deferLater(self._own_reactor(), seconds)

    def close(self) -> Deferred[None]:
        if self._pool is None:
            return succeed(None)
        closed: Deferred[None] = self._pool.closeCachedConnections().addCallback(lambda _result: None)
        return closed

    def exchange(self, request: Request) -> Deferred[Answer | NoAnswer]:
        # The agent adds the Host and the length itself.
        headers = Headers({name: [value] for name, value in request.headers.items() if name != "Host"})
        body = _Body(request.body) if request.body else None
        url = f"{self._address.origin}{request.target}".encode()
        asked = self._own_agent().request(request.method.encode(), url, headers, body)
        read: Deferred[Any] = asked.addCallback(_read)
        read.addTimeout(
            request.timeout,
            self._own_reactor(),
            lambda _failure, _seconds: NoAnswer("no answer in time", body is not None and body.is_sent),
        )
        return read.addErrback(_failed)

    def _own_agent(self) -> Agent:
        if self._agent is None:
            self._pool = pool = HTTPConnectionPool(self._own_reactor())
            pool.maxPersistentPerHost = MAX_IDLE
            pool.cachedConnectionTimeout = int(IDLE_FOR)
            pool.retryAutomatically = False
            self._agent = Agent(self._own_reactor(), pool=pool)
        return self._agent

    def _own_reactor(self) -> Any:
        if self._reactor is None:
            from twisted.internet import reactor  # noqa: PLC0415 - the import installs it

            self._reactor = reactor
        return self._reactor


@implementer(IBodyProducer)
class _Body:
    """The body of a request, all of it in memory. `is_sent`: it was given to the transport."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)
        self.is_sent = False

    def startProducing(self, consumer: Any) -> Deferred[None]:
        self.is_sent = True
        consumer.write(self._body)
        return succeed(None)

    def stopProducing(self) -> None:
        """Nothing is left to produce."""

    def pauseProducing(self) -> None:
        """Nothing is left to produce."""

    def resumeProducing(self) -> None:
        """Nothing is left to produce."""


class _AnswerBody(Protocol):
    """Collects the body of an answer. `done` fires with it. A cancelled `done` closes the connection."""

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _done: self._stop())
        self._parts: list[bytes] = []
        self._room = MAX_ANSWER

    def dataReceived(self, data: bytes) -> None:
        if self.done.called:  # it was cancelled, but TLS waits for the goodbye of the server before it closes
            return
        self._parts.append(data)
        self._room -= len(data)
        if self._room < 0:
            self._stop()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:  # it was cancelled
            return
        # PotentialDataLoss: the body ended with the connection. Only the reader of the JSON can tell if it is whole.
        if self._room >= 0 and reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(b"".join(self._parts))
        else:
            self.done.errback(ConnectionLost("the answer is cut off"))

    def _stop(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


def _read(response: IResponse) -> Deferred[Answer]:
    headers = {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in response.headers.getAllRawHeaders()
        if values
    }
    body = _AnswerBody()
    response.deliverBody(body)
    return body.done.addCallback(lambda data: Answer(response.code, headers, data))


def _failed(failure: Failure) -> NoAnswer:
    """Describe a failure of the network. Raises all other failures again."""
    failure.trap(*_NOT_CONNECTED, *_NEVER_ANSWERED, ResponseFailed, ConnectionClosed)
    error = failure.value
    reasons = [reason.value for reason in getattr(error, "reasons", [])] or [error]
    reason = str(reasons[0]) or type(reasons[0]).__name__
    if any(_is_of_tls(cause) for cause in reasons):
        return NoAnswer(f"TLS failed ({reason})", sent=False, again="never")
    if isinstance(error, _NOT_CONNECTED):
        return NoAnswer(reason, sent=False)
    # A connection that was idle and has ended looks like this, but a new one can too.
    return NoAnswer(reason, sent=True, again="now" if isinstance(error, _NEVER_ANSWERED) else "later")


def _is_of_tls(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in ("OpenSSL", "service_identity")
