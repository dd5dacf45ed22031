"""The client for programs that wait for their answers: Django, Flask, scripts, workers of a queue."""

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar, cast

from . import calls
from .account import AccountClient
from .calls import Call
from .connections import Connections
from .lists import IdentifierDetails, IdentifierUse, KeptPushes, Usage
from .pushes import ABSENT, Push, Pushed
from .tries import DEFAULT_TIMEOUT, Reply, Wait, tries

T = TypeVar("T")


class Cometify(AccountClient):
    """A client that waits. Threads can share it. It keeps its connections alive, and survives a fork.

    A call ends within `timeout`, with a result or a `CometifyError`. See `AccountClient` for the arguments.
    """

    def __init__(
        self, server: str, api_key: str, api_secret: str, *, timeout: float = DEFAULT_TIMEOUT, bearer: bool = False
    ) -> None:
        super().__init__(server, api_key, api_secret, timeout=timeout, bearer=bearer)
        self._connections = Connections(self._address)

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
    ) -> Pushed:
        """Push to one identifier. See `Push` for the arguments.

        `idempotency_key`: calls with the same key push once. By default each call makes a new one, and all its tries have it.
        Raises `CometifyError`, which is a `MaybePushed` if the push may have been made.
        """
        push = Push(identifier, content, data, secret, push_id, event, except_)
        return self._call(calls.push(push, idempotency_key))

    def batch(self, pushes: Iterable[Push], *, idempotency_key: str | None = None) -> list[Pushed]:
        """Push up to 100 in one request. All are checked before one is pushed. See `push`."""
        return self._call(calls.batch(pushes, idempotency_key))

    def position(self) -> int:
        """The newest position now. Ask for it before you read the database, and let the page listen from there."""
        return self._call(calls.position())

    def identifiers(self, prefix: str = "") -> Iterator[IdentifierUse]:
        """The identifiers that are listened to, or that have pushes kept. The list is asked for page by page."""
        after: str | None = ""
        while after is not None:
            page = self._call(calls.identifiers(prefix, after))
            yield from page.identifiers
            after = page.next

    def identifier(self, identifier: str) -> IdentifierDetails:
        """The listeners and the kept pushes of one identifier, as numbers."""
        return self._call(calls.identifier(identifier))

    def pushes(self, identifier: str, *, after: int | None = None) -> KeptPushes:
        """The kept pushes of an identifier, secret ones too: those after a position, or of the last ten minutes.

        A page has up to 1,000. `next` of the page is the `after` of the next one.
        """
        return self._call(calls.kept_pushes(identifier, after))

    def usage(self) -> Usage:
        """The usage of the account in this hour and on each of the last 31 days: pushes, deliveries, listeners, refusals."""
        return self._call(calls.usage())

    def disconnect(self, *, subject: str | None = None, listener: str | None = None) -> int:
        """End the connections of a visitor (the `sub` of tokens), or of a listener id. Returns how many ended."""
        return self._call(calls.disconnect(subject, listener))

    def close(self) -> None:
        """Close the idle connections. A later call opens new ones."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, call: Call[T]) -> T:
        steps = tries(call, self._address, self._timeout)
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                return cast("T", end.value)
            if isinstance(step, Wait):
                time.sleep(step.seconds)
                reply = None
            else:
                reply = self._connections.exchange(step)
