"""The tries of a call, without I/O: the requests to send, the times to wait, and the result or the error.

`tries` is a generator. It yields a `Request` and is sent the `Answer` or the `NoAnswer` that came of it, or it yields a
`Wait` and is sent None. It returns the result of the call, or raises `CometifyError`. Three thin shells run it: `sync`, `aio`
and `tx`. All decisions are here, so the three behave alike.

A call has one deadline for all its tries. A try may use half of the time that is left. So if a connection hangs, there is
time for another one. A `Retry-After` that does not fit the deadline ends the call at once.

All tries of a push have one Idempotency-Key, because the server may have made the push although no answer came. Each try has
a fresh timestamp and nonce. The server looks for the key before it looks for the nonce, so it would take the same request
again too. But an old timestamp would expire before a long deadline, and requests that have no Idempotency-Key are served once
for each nonce.
"""

import json
import random
import re
import secrets
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NoReturn, TypeAlias, TypeVar

from .address import Address
from .calls import JSON, Call
from .errors import NO_ANSWER, UNREACHABLE, UNREADABLE_ANSWER, CometifyError, MaybePushed
from .signing import sign

T = TypeVar("T")
DEFAULT_TIMEOUT = 2.0
"""Seconds for a call with all its tries."""
SHORTEST_TRY = 0.1
"""Seconds below which no further try is made, because it could hardly succeed."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds before the second try, and at most before a later one. Each pause is up to twice as long as the one before."""
RETRIED = frozenset({500, 502, 503, 504})
"""Statuses after which a request is sent again. The others tell the caller to change something."""
DOUBTFUL = frozenset({500, 502, 504})
"""Statuses after which the server may have accepted the request. For 503 the code tells it."""

_NO_TLS = re.compile("wrong.version.number", re.IGNORECASE)
"""OpenSSL's reason if the other side does not speak TLS. Each HTTP library spells it in its own way."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to send at once. `target`: path and query. `timeout`: seconds until its whole answer must be there."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    timeout: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `headers`: their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No whole answer came.

    `reason`: in words. `sent`: False if the server cannot have the whole request. `again`: "now" if the server closed a
    connection that was idle, and "never" if another try would fail in the same way.
    """

    reason: str
    sent: bool
    again: Literal["now", "later", "never"] = "later"


Step: TypeAlias = Request | Wait
Reply: TypeAlias = Answer | NoAnswer | None


def tries(
    call: Call[T],
    address: Address,
    timeout: float = DEFAULT_TIMEOUT,
    monotonic: Callable[[], float] = time.monotonic,
) -> Generator[Step, Reply, T]:
    """Carry out a call: see the top of this module. `monotonic`: a clock in seconds that never goes back."""
    deadline = monotonic() + timeout
    pause = FIRST_PAUSE
    in_doubt = stale = False
    while True:
        left = deadline - monotonic()
        reply = yield _request(call, address, max(left / 2, min(left, SHORTEST_TRY)))
        failure = _read(call, address, reply)
        if not isinstance(failure, _Failure):
            return failure
        # A refusal of the server means that no earlier try was accepted: it would have answered with the result of that try.
        in_doubt = call.changes and (failure.in_doubt or (in_doubt and failure.is_away))
        if failure.again == "now" and not stale:
            stale = True
            continue
        seconds = failure.retry_after
        if seconds is None:
            seconds, pause = pause * random.uniform(0.5, 1.0), min(2 * pause, LONGEST_PAUSE)
        if failure.again == "never" or deadline - monotonic() < seconds + SHORTEST_TRY:
            _fail(call, failure, in_doubt)
        yield Wait(seconds)


@dataclass(frozen=True, slots=True)
class _Failure:
    """A try that failed. `is_away`: the server did not look at the request, so earlier tries stay in doubt."""

    code: str
    detail: str
    again: Literal["now", "later", "never"]
    in_doubt: bool
    is_away: bool
    status: int | None = None
    retry_after: float | None = None


def _fail(call: Call[T], failure: _Failure, in_doubt: bool) -> NoReturn:
    error = MaybePushed if in_doubt and call.idempotency_key else CometifyError
    key = call.idempotency_key or None
    raise error(failure.code, failure.detail, failure.status, failure.retry_after, key)


def _request(call: Call[T], address: Address, timeout: float) -> Request:
    path = f"/{address.api_key}{call.path}"
    headers = {"Host": address.authority, "User-Agent": "cometify-python", "Accept": JSON}
    content_type = JSON if call.body else ""
    if content_type:
        headers["Content-Type"] = content_type
    if call.idempotency_key:
        headers["Idempotency-Key"] = call.idempotency_key
    if call.is_signed and address.bearer:
        headers["Authorization"] = f"Bearer {address.api_secret}"
    elif call.is_signed:
        headers |= _signature(call, address, path.partition("?")[0], content_type)
    # A proxy takes the prefix away, so the server sees the path without it. That path is signed.
    return Request(call.method, address.prefix + path, headers, call.body, timeout)


def _signature(call: Call[T], address: Address, path: str, content_type: str) -> dict[str, str]:
    timestamp = int(time.time()) if call.timestamp is None else call.timestamp
    nonce = secrets.token_hex(16)
    signature = sign(
        address.api_secret, call.method, path, timestamp, nonce, content_type, call.idempotency_key, call.body
    )
    return {"Cometify-Timestamp": str(timestamp), "Cometify-Nonce": nonce, "Cometify-Signature": signature}


def _read(call: Call[T], address: Address, reply: Reply) -> T | _Failure:
    """Return the result of a call, or the failure of this try."""
    if not isinstance(reply, Answer):
        assert reply is not None
        return _no_answer(address, reply)
    if reply.status == 200:
        try:
            return call.read(json.loads(reply.body))
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            return _unreadable(address, reply, "never")
    problem = _problem(reply)
    again: Literal["later", "never"] = "later" if reply.status in RETRIED else "never"
    retry_after = _seconds(reply.headers.get("retry-after", ""))
    if reply.status == 429 and retry_after is not None:
        again = "later"
    if problem is None:
        return _unreadable(address, reply, again, retry_after)
    code, detail = problem
    in_doubt = reply.status in DOUBTFUL or code == "engine_unavailable"
    return _Failure(code, detail, again, in_doubt, reply.status in RETRIED, reply.status, retry_after)


def _no_answer(address: Address, reply: NoAnswer) -> _Failure:
    if reply.sent:
        detail = f"{address.origin} has the request and gave no whole answer: {reply.reason}."
        return _Failure(NO_ANSWER, detail, reply.again, in_doubt=True, is_away=True)
    detail = f"{address.origin} cannot be reached: {reply.reason}."
    if _NO_TLS.search(reply.reason):
        detail += " The port speaks HTTP without TLS: begin the URL with http://, or serve TLS at this port."
    return _Failure(UNREACHABLE, detail, reply.again, in_doubt=False, is_away=True)


def _problem(answer: Answer) -> tuple[str, str] | None:
    """The code and the detail of a problem document (RFC 9457); None if the answer is none of the server's."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("code"), str):
        return None
    return document["code"], str(document.get("detail") or f"The answer is {answer.status}: {document['code']}.")


def _unreadable(
    address: Address, answer: Answer, again: Literal["later", "never"], retry_after: float | None = None
) -> _Failure:
    hint = "the URL must lead to a Cometify server, and a proxy before it must pass its answers on"
    if answer.status in range(300, 400):
        hint = "it leads elsewhere, and a push does not follow: put the right URL, such as one with https, into COMETIFY_URL"
    detail = f"{address.origin} answered with status {answer.status} and not as Cometify does: {hint}."
    # The push may have been made if a success cannot be read, or if a proxy waited in vain for the server (5xx). A proxy
    # answers the other statuses in place of the server. They do not tell the result of earlier tries, so those stay in doubt.
    in_doubt = answer.status < 300 or answer.status >= 500
    return _Failure(UNREADABLE_ANSWER, detail, again, in_doubt, True, answer.status, retry_after)


def _seconds(header: str) -> float | None:
    return float(header) if header.isascii() and header.isdigit() and len(header) < 9 else None
