"""Requests to webhooks: signed, over verified TLS, to public addresses, within limits of time and size.

An account's webhook may have been chosen by somebody who must not reach the networks behind this server. So the addresses of
its host are looked at when a connection is made, because a name can lead elsewhere by then. A redirect is a failure.
"""

import secrets
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

from twisted.internet import defer, error
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from cometify import __version__
from cometify.core.account import Account
from cometify.core.hmac_signature import (
    NONCE_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    SignedRequest,
    digest,
    signature,
)
from cometify.core.webhook_events import Batch
from cometify.runtime.reactor import Reactor
from cometify.runtime.tls_client import VerifiedTLS
from cometify.webhooks.addresses import CheckedReactor, Networks
from cometify.webhooks.reasons import NO_SUCH_HOST, in_own_words
from cometify.webhooks.turns import Turn, Turns

CONNECT_WITHIN = 5.0
"""Seconds for a connection to one address."""
ANSWER_WITHIN = 10.0
"""Seconds for a whole request."""
MOST_ADDRESSES = 4
"""Addresses of a host that the log names."""
CLOSE_WITHIN = 5.0
"""Seconds after which a connection is aborted that the receiver does not close. TLS waits for the receiver without a bound."""
MOST_READ = 64 * 1024
"""Bytes of an answer, its head included. The connection is closed at more."""
CONTENT_TYPE = "application/json"


class NotTakenError(Exception):
    """The receiver has not taken a request. The message is for the operator.

    It never holds the URL, and nothing that the receiver has written but its status.
    """


class WebhookClient:
    """Sends batches. `networks`: those with private addresses that webhooks may be in. `wall`: Unix seconds."""

    def __init__(self, reactor: Reactor, networks: Networks, wall: Callable[[], float], turns: Turns) -> None:
        self._reactor = reactor
        self._networks = networks
        self._wall = wall
        self._turns = turns
        self._tls = VerifiedTLS()

    def send(self, account: Callable[[], Account], batch: Batch, *, is_retry: bool) -> Deferred[None]:
        """Send a batch to an account's webhook, when it is its turn. `account` is asked then.

        The Deferred fails with `NotTakenError`.
        """
        return Deferred.fromCoroutine(self._send(account, batch, is_retry=is_retry)).addErrback(_not_taken)

    async def _send(self, account: Callable[[], Account], batch: Batch, *, is_retry: bool) -> None:
        turn = await self._turns.wait(is_retry=is_retry)
        try:
            # Twisted's Clock and reactors have `callLater`, which is all that this uses.
            await self._request(account(), batch, turn).addTimeout(ANSWER_WITHIN, cast("Any", self._reactor))
        finally:
            turn.let_go()

    def _request(self, account: Account, batch: Batch, turn: Turn) -> Deferred[None]:
        assert account.webhook is not None
        headers = Headers({name: [value] for name, value in self._headers(account, batch).items()})
        agent = Agent.usingEndpointFactory(self._reactor, _Endpoints(self._reactor, self._networks, self._tls, turn))
        # The agent raises at once if IDNA does not know the host, such as xn--a.
        asked: Deferred[IResponse] = defer.maybeDeferred(
            agent.request, b"POST", account.webhook.encode(), headers, _Body(batch.body)
        )
        return asked.addCallback(_read_answer)

    def _headers(self, account: Account, batch: Batch) -> dict[str, str]:
        assert account.webhook is not None
        # While a secret is being replaced the receiver may know the old one alone. That is the last one.
        secret = account.api_secrets[-1]
        signed = SignedRequest(
            method=b"POST",
            path=(urlsplit(account.webhook).path or "/").encode(),
            content_type=CONTENT_TYPE,
            idempotency_key=str(batch.id),
            digest=digest(batch.body),
            timestamp=str(int(self._wall())),
            nonce=secrets.token_urlsafe(24),
            signature="",
        )
        return {
            "Content-Type": CONTENT_TYPE,
            "Idempotency-Key": signed.idempotency_key,
            "User-Agent": f"Cometify/{__version__}",
            TIMESTAMP_HEADER: signed.timestamp,
            NONCE_HEADER: signed.nonce,
            SIGNATURE_HEADER: signature(secret, signed),
        }


def _read_answer(response: IResponse) -> Deferred[None]:
    """Read the answer to its end, so that the connection closes."""
    discarded = _Discard()
    response.deliverBody(discarded)
    return discarded.ended.addCallback(lambda _none: _check_status(response.code))


def _check_status(status: int) -> None:
    if 200 <= status < 300:
        return
    raise NotTakenError(
        f"the answer is {status}; it must be 200 to 299"
        if 100 <= status <= 999
        else "the answer has no status of three digits"
    )


def _not_taken(failure: Failure) -> None:
    while isinstance(failure.value, ResponseFailed) and failure.value.reasons:
        failure = failure.value.reasons[0]
    reason = failure.value
    assert reason is not None
    raise reason if isinstance(reason, NotTakenError) else NotTakenError(in_own_words(reason))


@implementer(IBodyProducer)
class _Body:
    """A body that is written at once. Twisted's own producers need a global reactor."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Everything is written already."""

    def resumeProducing(self) -> None:
        """Everything is written already."""

    def stopProducing(self) -> None:
        """Everything is written already."""


class _Discard(Protocol):
    """Reads the body of an answer and keeps nothing. `ended` fires at its end, however it ends."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred(lambda _ended: self._close())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.ended.called:
            self.ended.callback(None)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


# Reaching the receiver.


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """Makes the endpoint of one request, whose connections hold its turn."""

    def __init__(self, reactor: Reactor, networks: Networks, tls: VerifiedTLS, turn: Turn) -> None:
        self._reactor = reactor
        self._networks = networks
        self._tls = tls
        self._turn = turn

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """See IAgentEndpointFactory."""
        host = uri.host.decode().strip("[]")
        is_encrypted = uri.scheme == b"https"
        reactor = CheckedReactor(self._reactor, self._networks, allows_public=is_encrypted)
        endpoint: IStreamClientEndpoint = HostnameEndpoint(reactor, host, uri.port, timeout=CONNECT_WITHIN)
        if is_encrypted:
            endpoint = wrapClientTLS(self._tls.to(host), endpoint)
        return cast("IStreamClientEndpoint", _BoundedEndpoint(endpoint, reactor, self._turn))


@implementer(IStreamClientEndpoint)
class _BoundedEndpoint:
    """An endpoint whose connections are closed when they have read `MOST_READ` bytes, or are not closed in time."""

    def __init__(self, endpoint: IStreamClientEndpoint, reactor: CheckedReactor, turn: Turn) -> None:
        self._endpoint = endpoint
        self._reactor = reactor
        self._turn = turn

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint."""
        factory = _BoundedFactory(cast("Factory", protocolFactory), cast("Any", self._reactor), self._turn)
        connected: Deferred[Any] = self._endpoint.connect(factory)
        return connected.addCallbacks(lambda bounded: bounded.wrappedProtocol, self._not_connected)

    def _not_connected(self, failure: Failure) -> Failure:
        if failure.check(error.DNSLookupError) and self._reactor.refused:
            refused = ", ".join(sorted(self._reactor.refused)[:MOST_ADDRESSES])
            return Failure(
                NotTakenError(
                    f"its host has only the addresses {refused}, which webhooks may not "
                    "reach: see webhook_networks in docs/webhooks.md"
                )
            )
        if failure.check(ValueError):
            return Failure(NotTakenError(NO_SUCH_HOST))
        return failure


class _Bounded(ProtocolWrapper):
    """Counts the bytes that come, and aborts a connection that the receiver does not close."""

    _left = MOST_READ
    _closing: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self.factory.turn.hold()
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._abort()
        else:
            super().dataReceived(data)

    def loseConnection(self) -> None:
        if self._closing is None:
            self._closing = self.factory.callLater(CLOSE_WITHIN, self._abort)
        super().loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        super().connectionLost(reason)
        self.factory.turn.let_go()

    def _abort(self) -> None:
        cast("Any", self.transport).abortConnection()


class _BoundedFactory(WrappingFactory):
    protocol = _Bounded
    noisy = False

    def __init__(self, factory: Factory, reactor: IReactorTime, turn: Turn) -> None:
        super().__init__(factory)
        self.turn = turn
        factory.noisy = False  # otherwise each request would be two lines of the log
        self.callLater = reactor.callLater
