"""The client for asyncio. It uses httpx if that is installed, and otherwise threads."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, cast
from weakref import WeakKeyDictionary

from . import calls
from .account import AccountClient
from .address import Address
from .calls import Call
from .connections import IDLE_FOR, MAX_IDLE, Connections
from .lists import IdentifierDetails, IdentifierUse, KeptPushes, Usage
from .pushes import ABSENT, Push, Pushed
from .tries import DEFAULT_TIMEOUT, Answer, NoAnswer, Reply, Request, Wait, tries

try:
    import httpx
except ImportError:  # it is not needed
    _HAS_HTTPX = False
else:
    _HAS_HTTPX = True

T = TypeVar("T")


class _Exchanges(Protocol):
    async def exchange(self, request: Request) -> Answer | NoAnswer: ...

    async def close(self) -> None: ...


class AsyncCometify(AccountClient):
    """A client whose calls are awaited. It keeps its connections alive, and can be used in one event loop after another.

    A call ends within `timeout`, with a result or a `CometifyError`. See `AccountClient` for the arguments.
    """

    def __init__(
        self, server: str, api_key: str, api_secret: str, *, timeout: float = DEFAULT_TIMEOUT, bearer: bool = False
    ) -> None:
        super().__init__(server, api_key, api_secret, timeout=timeout, bearer=bearer)
        self._exchanges: _Exchanges = _ByHTTPX(self._address) if _HAS_HTTPX else _ByThreads(self._address)

    async def push(
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
    ) -> Pushed:
        """Push to one identifier. See `Push` for the arguments.

        `idempotency_key`: calls with the same key push once. By default each call makes a new one, and all its tries have it.
        Raises `CometifyError`, which is a `MaybePushed` if the push may have been made.
        """
        push = Push(identifier, content, data, secret, push_id, event, except_)
        return await self._call(calls.push(push, idempotency_key))

    async def batch(self, pushes: Iterable[Push], *, idempotency_key: str | None = None) -> list[Pushed]:
        """Push up to 100 in one request. All are checked before one is pushed. See `push`."""
        return await self._call(calls.batch(pushes, idempotency_key))

    async def position(self) -> int:
        """The newest position now. Ask for it before you read the database, and let the page listen from there."""
        return await self._call(calls.position())

    async def identifiers(self, prefix: str = "") -> AsyncIterator[IdentifierUse]:
        """The identifiers that are listened to, or that have pushes kept. The list is asked for page by page."""
        after: str | None = ""
        while after is not None:
            page = await self._call(calls.identifiers(prefix, after))
            for use in page.identifiers:
                yield use
            after = page.next

    async def identifier(self, identifier: str) -> IdentifierDetails:
        """The listeners and the kept pushes of one identifier, as numbers."""
        return await self._call(calls.identifier(identifier))

    async def pushes(self, identifier: str, *, after: int | None = None) -> KeptPushes:
        """The kept pushes of an identifier, secret ones too: those after a position, or of the last ten minutes.

        A page has up to 1,000. `next` of the page is the `after` of the next one.
        """
        return await self._call(calls.kept_pushes(identifier, after))

    async def usage(self) -> Usage:
        """The usage of the account in this hour and on each of the last 31 days: pushes, deliveries, listeners, refusals."""
        return await self._call(calls.usage())

    async def disconnect(self, *, subject: str | None = None, listener: str | None = None) -> int:
        """End the connections of a visitor (the `sub` of tokens), or of a listener id. Returns how many ended."""
        return await self._call(calls.disconnect(subject, listener))

    async def close(self) -> None:
        """Close the idle connections. A later call opens new ones."""
        await self._exchanges.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(self, call: Call[T]) -> T:
        steps = tries(call, self._address, self._timeout)
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                return cast("T", end.value)
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                reply = None
            else:
                reply = await self._exchanges.exchange(step)


class _ByThreads:
    """The connections of the client that waits, each exchange in a thread. A cancelled exchange ends by its own deadline."""

    def __init__(self, address: Address) -> None:
        self._connections = Connections(address)

    async def exchange(self, request: Request) -> Answer | NoAnswer:
        # The time runs while the request waits for a thread too.
        return await asyncio.to_thread(self._exchange, request, time.monotonic() + request.timeout)

    async def close(self) -> None:
        self._connections.close()

    def _exchange(self, request: Request, deadline: float) -> Answer | NoAnswer:
        left = deadline - time.monotonic()
        if left <= 0:
            return NoAnswer("no thread was free in time", sent=False)
        return self._connections.exchange(replace(request, timeout=left))


class _ByHTTPX:
    """A client of httpx for each event loop, because its connections belong to the loop in which they were made."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._tls: ssl.SSLContext | None = None
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()

    async def exchange(self, request: Request) -> Answer | NoAnswer:
        course = _Course()
        client = self._client()
        try:
            async with asyncio.timeout(request.timeout):
                response = await client.send(self._request(request, course))
        except TimeoutError:
            return NoAnswer("no answer in time", course.is_sent)
        except (httpx.TransportError, httpx.DecodingError) as error:
            if _is_untrusted(error):
                return NoAnswer(f"its certificate is not accepted ({error})", sent=False, again="never")
            return NoAnswer(str(error) or type(error).__name__, course.is_sent, "now" if course.is_stale else "later")
        return Answer(response.status_code, dict(response.headers), response.content)

    async def close(self) -> None:
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _client(self) -> "httpx.AsyncClient":
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            if self._tls is None and self._address.scheme == "https":
                self._tls = ssl.create_default_context()
            # Proxies and passwords of the environment are not for requests that hold an API secret.
            client = self._clients[loop] = httpx.AsyncClient(
                verify=self._tls or False,  # False: the scheme is http
                timeout=None,  # noqa: S113 - each exchange has a deadline for the whole of it
                trust_env=False,
                limits=httpx.Limits(max_keepalive_connections=MAX_IDLE, keepalive_expiry=IDLE_FOR),
            )
        return client

    def _request(self, request: Request, course: "_Course") -> "httpx.Request":
        address = self._address
        url = httpx.URL(scheme=address.scheme, host=address.host, port=address.port, raw_path=request.target.encode())
        extensions = {"trace": course.note}
        return httpx.Request(
            request.method, url, headers=dict(request.headers), content=request.body, extensions=extensions
        )


class _Course:
    """Notes the progress of an exchange from the events that httpcore reports."""

    def __init__(self) -> None:
        self.is_sent = False
        self._is_new = False
        self._is_answered = False

    @property
    def is_stale(self) -> bool:
        """True if the connection had been idle, and no answer began."""
        return not self._is_new and not self._is_answered

    async def note(self, event: str, _info: Mapping[str, Any]) -> None:
        self._is_new |= event == "connection.connect_tcp.started"
        self.is_sent |= event == "http11.send_request_body.complete"
        self._is_answered |= event == "http11.receive_response_headers.complete"


def _is_untrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
