"""Flask: the client of an app, tokens for its pages, and the script tag in its templates.

    from cometify.flask import Cometify

    cometify = Cometify(app)  # reads COMETIFY_URL from app.config or the environment
    cometify.push("guestbook", "Hello world!")

| key of `app.config` | value |
| --- | --- |
| COMETIFY_URL | The account, as `https://KEY:SECRET@push.example.org`. By default the environment variable of this name. |
| COMETIFY_PUBLIC_URL | The URL at which browsers reach the push server, if it is another one. |
| COMETIFY_TIMEOUT | The seconds that a call may take, with all its tries. |
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar, Unpack, cast

import flask

from cometify.client import Cometify as Client
from cometify.client.address import read_public_server
from cometify.client.pushes import ABSENT, Pushed, PushOptions
from cometify.client.tries import DEFAULT_TIMEOUT
from cometify.integration.grant import NO_STORE, Grant, token_answer
from cometify.integration.position import take_position
from cometify.integration.script import Markup, script_tag

__all__ = ["Cometify", "Grant"]

P = ParamSpec("P")
T = TypeVar("T")
_KEY = "cometify"


@dataclass(frozen=True, slots=True)
class _State:
    """The client of one app. `server`: the URL for browsers."""

    client: Client
    server: str


class Cometify:
    """The extension. `app`: None if `init_app` is called later. One object can serve several apps."""

    def __init__(self, app: flask.Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Make the client of an app. Raises `CometifyError` (invalid_url) if the configuration has no usable URL."""
        timeout = app.config.get("COMETIFY_TIMEOUT", DEFAULT_TIMEOUT)
        made = Client.from_url(app.config.get("COMETIFY_URL"), timeout=timeout)
        server = read_public_server(app.config.get("COMETIFY_PUBLIC_URL"), made.server)
        app.extensions[_KEY] = _State(made, server)
        app.jinja_env.globals |= {
            "cometify_script": self.script,
            "cometify_position": self.position,
            "cometify_api_key": self._api_key,
        }

    @property
    def client(self) -> Client:
        """The client of the current app, with all its methods."""
        return self._state().client

    def push(self, identifier: str, content: object = ABSENT, **options: Unpack[PushOptions]) -> Pushed:
        """Push to one identifier. See `cometify.client.Push` for the arguments. Raises `CometifyError`."""
        return self.client.push(identifier, content, **options)

    def with_position(self, view: Callable[P, T]) -> Callable[P, T]:
        """Take a position before the view reads any data. `position`, and `cometify_position()` in templates, return it."""

        @wraps(view)
        def first_the_position(*arguments: P.args, **options: P.kwargs) -> T:
            flask.g.cometify_position = take_position(self.client)
            answer: T = flask.current_app.ensure_sync(view)(*arguments, **options)
            return answer

        return first_the_position

    def position(self) -> int:
        """Return the position that `with_position` took for this request."""
        taken = flask.g.get("cometify_position")
        if taken is None:
            raise RuntimeError(
                "This view has taken no position: write @cometify.with_position between its route and its function."
            )
        return cast("int", taken)

    def script(self, *, pinned: bool = True, nonce: str | None = None) -> Markup:
        """Return the script tag of the browser client, which templates have as `cometify_script()`.

        `pinned`: False for the version that the server runs, without a hash. `nonce`: of the content security policy.
        """
        return script_tag(self._state().server, pinned=pinned, nonce=nonce)

    def token_answer(self, grant: Grant | None) -> flask.Response:
        """Return the answer of a view that gives tokens. `grant`: None if nobody is logged in. Raises `CometifyError`."""
        status, answer = token_answer(self.client, grant)
        response = flask.jsonify(answer)
        response.status_code = status
        response.headers["Cache-Control"] = NO_STORE
        return response

    def token_route(
        self, app: flask.Flask | flask.Blueprint, rule: str
    ) -> Callable[[Callable[P, Grant | None]], Callable[P, flask.Response]]:
        """Make a route that gives tokens from a function that returns the `Grant` of the visitor, or None."""

        def decorate(grant_of: Callable[P, Grant | None]) -> Callable[P, flask.Response]:
            @app.get(rule)
            @wraps(grant_of)
            def answer(*arguments: P.args, **options: P.kwargs) -> flask.Response:
                return self.token_answer(flask.current_app.ensure_sync(grant_of)(*arguments, **options))

            return answer

        return decorate

    def _api_key(self) -> str:
        return self.client.api_key

    def _state(self) -> _State:
        try:
            return cast("_State", flask.current_app.extensions[_KEY])
        except KeyError:
            raise RuntimeError(
                "This app has no Cometify: call cometify.init_app(app) where you make the app."
            ) from None
