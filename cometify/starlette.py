"""Starlette and FastAPI: the client of an app as a dependency, tokens for its pages, and the script tag.

from cometify.starlette import Cometify

cometify = Cometify()  # reads COMETIFY_URL when the app starts
app = FastAPI(lifespan=cometify.lifespan)

@app.post("/hello")
async def hello(pushes: Annotated[AsyncCometify, Depends(cometify)]) -> None:
    await pushes.push("guestbook", "Hello world!")
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cometify.client import Cometify as Client
from cometify.client.address import read_public_server
from cometify.client.aio import AsyncCometify
from cometify.client.errors import CometifyError
from cometify.client.tries import DEFAULT_TIMEOUT
from cometify.integration.grant import NO_STORE, Grant, token_answer
from cometify.integration.position import position_by_clock
from cometify.integration.script import Markup, script_tag

__all__ = ["AsyncCometify", "Cometify", "Grant"]


class Cometify:
    """The client of an app.

    - `url`: the account, as `https://KEY:SECRET@push.example.org`. None: the environment variable COMETIFY_URL, which is
      read when the app starts.
    - `public_url`: the URL at which browsers reach the push server, if it is another one.
    - `timeout`: the seconds that a call may take, with all its tries.
    """

    def __init__(
        self, url: str | None = None, *, public_url: str | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        self._url = url
        self._public_url = public_url
        self._timeout = timeout
        self._client: AsyncCometify | None = None
        self._sync: Client | None = None

    @property
    def client(self) -> AsyncCometify:
        """The client. Raises `CometifyError` (invalid_url) if there is no usable URL."""
        if self._client is None:
            self._client = AsyncCometify.from_url(self._url, timeout=self._timeout)
        return self._client

    async def __call__(self) -> AsyncCometify:
        """Return the client. This makes the object a dependency: `Depends(cometify)`."""
        return self.client

    async def sync(self) -> Client:
        """Return a client that waits, for endpoints that are plain functions: `Depends(cometify.sync)`."""
        if self._sync is None:
            self._sync = Client.from_url(self._url, timeout=self._timeout)
        return self._sync

    @asynccontextmanager
    async def lifespan(self, _app: Any = None) -> AsyncIterator[None]:
        """Make the client when the app starts, and close its connections when the app stops.

        If the app has a lifespan of its own, write `async with cometify.lifespan():` in it.
        """
        _ = self.script()  # a wrong configuration is told when the app starts
        try:
            yield
        finally:
            await self.client.close()
            if self._sync is not None:
                self._sync.close()

    async def position(self) -> int:
        """Take a position for a page, before its data is read. This is a dependency too: `Depends(cometify.position)`."""
        try:
            return await self.client.position()
        except CometifyError as error:
            return position_by_clock(error)

    def script(self, *, pinned: bool = True, nonce: str | None = None) -> Markup:
        """Return the script tag of the browser client, for templates.

        `pinned`: False for the version that the server runs, without a hash. `nonce`: of the content security policy.
        """
        server = read_public_server(self._public_url, self.client.server)
        return script_tag(server, pinned=pinned, nonce=nonce)

    def token_answer(self, grant: Grant | None) -> Response:
        """Return the answer of an endpoint that gives tokens. `grant`: None if nobody is logged in."""
        status, answer = token_answer(self.client, grant)
        return JSONResponse(answer, status, {"Cache-Control": NO_STORE})

    def token_route(self, path: str, grant_of: Callable[[Request], Grant | Awaitable[Grant | None] | None]) -> Route:
        """Return a route that gives tokens.

        `grant_of`: returns the `Grant` of a request, or None if nobody is logged in. A plain function runs in a thread.
        """

        async def endpoint(request: Request) -> Response:
            grant = await run_in_threadpool(grant_of, request)
            return self.token_answer(await grant if isawaitable(grant) else grant)

        return Route(path, endpoint, methods=["GET"])
