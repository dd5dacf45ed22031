"""HTTP requests of `cometify doctor` and `cometify bench`, on Twisted's Agent."""

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any, cast

import attrs
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, ContentDecoderAgent, GzipDecoder, HTTPConnectionPool, ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

from cometify.client.signing import sign
from cometify.command.server_url import ServerURL
from cometify.command.troubles import FAULT_OF_CODE, GATEWAYS, Trouble
from cometify.command.websocket_client import USER_AGENT
from cometify.core.hmac_signature import NONCE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER

JSON = "application/json"
_MOST_IDLE = 64
MOST_BYTES = 16 << 20
"""Bytes of an answer. The longest, the metrics of a server with thousands of accounts, has less."""


@attrs.frozen
class Answer:
    """A whole answer. `code`, `detail`: of the server's problem document, else empty. `seconds`: it took so long."""

    status: int
    headers: Headers
    body: bytes
    seconds: float

    @property
    def problem(self) -> tuple[str, str]:
        """The code and the detail of a problem document. Both are empty if something other than the server answered."""
        document = self.json if "problem+json" in self.header("content-type") else None
        if not isinstance(document, dict) or "code" not in document:
            return "", ""
        return str(document["code"]), str(document.get("detail", ""))

    def header(self, name: str) -> str:
        """The first header of this name, or nothing."""
        values = self.headers.getRawHeaders(name.encode()) or [b""]
        return values[0].decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The JSON of the body, or None."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def trouble(self) -> Trouble:
        """The trouble that the answer means unless it is a success."""
        code, detail = self.problem
        if code and self.status in GATEWAYS and detail.startswith("No node"):
            return Trouble("no_node", detail)
        if code:
            return Trouble(FAULT_OF_CODE.get(code, "refused"), f"{detail} ({code})")
        if self.status in GATEWAYS:
            return Trouble("no_node", f"A proxy answers {self.status}.")
        return Trouble("not_cometify", f"The answer is {self.status}, and not one of Cometify's.")


class Requests:
    """Requests to one server, over connections that are kept alive. `patience`: the seconds that an answer may take."""

    def __init__(self, server: ServerURL, reactor: Any, patience: float) -> None:
        self._server = server
        self._reactor = reactor
        self._patience = patience
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = _MOST_IDLE
        self._agent = Agent(reactor, connectTimeout=patience, pool=self._pool)
        # Streams are cut off, and a connection that was cut off must not be used again. Browsers take gzip, so a proxy that
        # compresses must be seen.
        self._streams = ContentDecoderAgent(Agent(reactor, connectTimeout=patience), [(b"gzip", GzipDecoder)])

    async def open(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        is_stream: bool = False,
    ) -> IResponse:
        """Send a request, and return its answer when its head is there. Raises `Trouble`.

        `path`: a whole URL, or a path of the server. `is_stream`: the answer may be cut off.
        """
        url = path if path.startswith("http") else f"{self._server.origin}{path}"
        sent = Headers({"User-Agent": [USER_AGENT]})
        for name, value in (headers or {}).items():
            sent.setRawHeaders(name, [value])
        producer = None if body is None else _Body(body)
        agent = self._streams if is_stream else self._agent
        try:
            request = agent.request(method.encode(), url.encode(), sent, producer)
            return await request.addTimeout(self._patience, self._reactor)
        except Exception as error:  # noqa: BLE001 - a dozen kinds of errors mean that there is no answer
            if isinstance(_cause(error), defer.TimeoutError | CancelledError):
                raise Trouble("silent", f"No answer within {self._patience:g} s.") from None
            raise Trouble("unreachable", f"No answer: {_reason(error)}.") from None

    async def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request, and return the whole answer. Raises `Trouble`."""
        began = time.monotonic()
        response = await self.open(method, path, body, headers)
        content = await self.body(response)
        return Answer(response.code, response.headers, content, time.monotonic() - began)

    async def body(self, response: IResponse) -> bytes:
        """Return the whole body of an answer. Raises `Trouble`."""
        content = _Content()
        response.deliverBody(content)
        try:
            return await content.whole.addTimeout(self._patience, self._reactor)
        except (defer.TimeoutError, CancelledError):
            raise Trouble("buffering", f"The answer is not whole within {self._patience:g} s.") from None
        except Trouble:
            raise
        except Exception as error:  # noqa: BLE001 - see `open`
            raise Trouble("unreachable", f"The answer was cut off: {_reason(error)}.") from None

    async def push(self, identifier: str, fields: Mapping[str, object]) -> Answer:
        """Push JSON, signed with HMAC."""
        path, body = self._server.path(f"push/{identifier}"), json.dumps(fields).encode()
        stamp, nonce = int(time.time()), secrets.token_urlsafe(16)
        headers = {
            "Content-Type": JSON,
            TIMESTAMP_HEADER: str(stamp),
            NONCE_HEADER: nonce,
            SIGNATURE_HEADER: sign(self._server.api_secret, "POST", path, stamp, nonce, JSON, "", body),
        }
        return await self.ask("POST", path, body, headers)

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self._pool.closeCachedConnections()


@implementer(IBodyProducer)
class _Body:
    """The body of a request, which is written at once because it is small."""

    def __init__(self, data: bytes) -> None:
        self.length = len(data)
        self._data = data

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Nothing is left to write."""

    resumeProducing = stopProducing = pauseProducing


class _Content(Protocol):
    """Collects the body of an answer. `whole`: fires with it. To cancel it closes the connection.

    Twisted's `readBody` goes on reading after it was cancelled, and has no bound.
    """

    def __init__(self) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _whole: self._cut_off())
        self._parts: list[bytes] = []
        self._left = MOST_BYTES

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            self._parts.append(data)
        elif not self.whole.called:
            self.whole.errback(Trouble("not_cometify", f"The answer has more than {MOST_BYTES} bytes."))
            self._cut_off()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        if reason.check(ResponseDone):
            self.whole.callback(b"".join(self._parts))
        else:
            self.whole.errback(reason)

    def _cut_off(self) -> None:
        self._left = 0
        self._parts.clear()
        if self.transport is not None:
            cast("IPushProducer", self.transport).stopProducing()


def _cause(error: Exception) -> BaseException:
    """The error that an error of the agent stands for."""
    reasons = getattr(error, "reasons", None)
    return reasons[0].value if isinstance(error, ResponseFailed) and reasons else error


def _reason(error: Exception) -> str:
    """The first line of an error."""
    cause = _cause(error)
    return (str(cause) or type(cause).__name__).splitlines()[0].rstrip(".")
