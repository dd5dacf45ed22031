"""The questions of a back end about its account.

- GET /{apiKey}/identifiers: the identifiers that are in use.
- GET /{apiKey}/identifiers/{identifier}: one of them.
- GET /{apiKey}/identifiers/{identifier}/pushes: its kept pushes.
- GET /{apiKey}/usage: the usage of the account by hour and days.

They are proved like a push, because the answers have secret pushes and counts of listeners. Those without pushes are answered
for the token of an account too: see `core.account_token`. There are no CORS headers, because
no page should hold the API secret.

An answer can take two milliseconds: it has up to a thousand identifiers, or 1 MiB. So questions wait for their turns: see
`list_turns`.
"""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from twisted.internet.defer import Deferred, succeed

from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.identifier import Identifier
from cometify.core.identifier_page import IdentifierDetails, IdentifierPage, IdentifierRow, Kept
from cometify.core.list_query import check_no_parameters, read_asked_names, read_asked_pushes
from cometify.core.push_page import PushPage
from cometify.core.usage import Usage
from cometify.core.usage_history import UsagePeriod, UsageReport
from cometify.http.exchange import Exchange
from cometify.http.site import Endpoint
from cometify.interfaces import IQueries, IUsageBook
from cometify.runtime.epoll_loop import CallSoon
from cometify.transports.list_turns import ListTurns
from cometify.transports.publishers import Publishers

_SECRETS = ("newest", "older")
"""The names of the API secrets that an account can have at once."""
Ask = Callable[[], Deferred[bytes]]
"""Asks the engine. The Deferred fires with the JSON of the answer."""


class BackEnd:
    """The part that all questions share. `answered`, `refused`: how many questions were, the latter by code.

    `call_soon`: see `ListTurns`.
    """

    def __init__(
        self, queries: IQueries, usage_book: IUsageBook, publishers: Publishers, call_soon: CallSoon, usage: Usage
    ) -> None:
        self.queries = queries
        self.usage_book = usage_book
        self.usage = usage
        self.publishers = publishers
        self.answered = 0
        self.refused: Counter[str] = Counter()
        self.turns = ListTurns(call_soon)


class _QuestionEndpoint(Endpoint):
    """Answers one kind of question."""

    methods = (b"GET",)
    allows_fast_path = True
    is_for_tokens = False
    """True if the token of an account is enough. The answer has no text of a push then."""
    is_for_suspended = False
    """True if the API secret of an account that is suspended is enough."""

    def __init__(self, back_end: BackEnd) -> None:
        self._back_end = back_end

    def count_refusal(self, refused: Refused, request: Exchange) -> None:
        self._back_end.refused[refused.code.name] += 1
        self._back_end.usage.refuse(request.segments[0], refused)

    def serve(self, request: Exchange) -> None:
        publishers = self._back_end.publishers
        if self.is_for_tokens:
            account, nonce = publishers.of_reader(request, may_be_suspended=self.is_for_suspended)
        else:
            account, nonce = publishers.of_request(request)
        ask = self._read(request, account, self._back_end.queries)

        def answer() -> Deferred[int | None]:
            # A request that is refused for its query must not use up its nonce. So the nonce is used after the query was read.
            proved: Deferred[None] = succeed(None)
            if nonce is not None:
                proved.addCallback(lambda _none: self._back_end.queries.use_nonce(account, nonce))
            answered = proved.addCallback(lambda _none: ask())
            return answered.addCallback(self._answer, request).addErrback(self.failed, request)

        self._back_end.turns.wait(account.api_key, request, answer)

    def _read(self, request: Exchange, account: Account, queries: IQueries) -> Ask:
        """Read the question. Raises `Refused`."""
        raise NotImplementedError

    def _answer(self, body: bytes, request: Exchange) -> int:
        self._back_end.answered += 1
        request.answer(200, b"application/json", body)
        return len(body)


class IdentifiersEndpoint(_QuestionEndpoint):
    """GET /{apiKey}/identifiers."""

    is_for_tokens = True

    def _read(self, request: Exchange, account: Account, queries: IQueries) -> Ask:
        asked = read_asked_names(request.query())
        return lambda: queries.identifiers(account, asked).addCallback(page_json)


class IdentifierEndpoint(_QuestionEndpoint):
    """GET /{apiKey}/identifiers/{identifier}."""

    is_for_tokens = True

    def _read(self, request: Exchange, account: Account, queries: IQueries) -> Ask:
        identifier = Identifier.read(request.segments[2], account.spelling).folded
        check_no_parameters(request.query())
        return lambda: queries.identifier(account, identifier).addCallback(details_json)


class KeptPushesEndpoint(_QuestionEndpoint):
    """GET /{apiKey}/identifiers/{identifier}/pushes."""

    def _read(self, request: Exchange, account: Account, queries: IQueries) -> Ask:
        identifier = Identifier.read(request.segments[2], account.spelling).folded
        asked = read_asked_pushes(request.query())
        return lambda: queries.pushes(account, identifier, asked).addCallback(_pushes_json)


class UsageEndpoint(_QuestionEndpoint):
    """GET /{apiKey}/usage."""

    is_for_tokens = True
    is_for_suspended = True

    def _read(self, request: Exchange, account: Account, queries: IQueries) -> Ask:
        check_no_parameters(request.query())
        return lambda: self._back_end.usage_book.read(account).addCallback(usage_json, account)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _row(identifier: str, listeners: int, kept: Kept) -> dict[str, object]:
    return {
        "identifier": identifier,
        "listeners": listeners,
        "kept": kept.pushes,
        "bytes": kept.bytes,
        "position": kept.position,
    }


def _row_of(row: IdentifierRow) -> dict[str, object]:
    return _row(row.identifier, row.listeners, row.kept)


def page_json(page: IdentifierPage) -> bytes:
    """The JSON of a page of identifiers."""
    return _json({"identifiers": list(map(_row_of, page.rows)), "next": page.next})


def details_json(details: IdentifierDetails) -> bytes:
    """The JSON of one identifier."""
    count = details.listeners
    row = _row(details.identifier, count.total, details.kept)
    return _json({**row, "transports": dict(count.transports), "secret_listeners": count.secret})


def _pushes_json(page: PushPage) -> bytes:
    following = b"null" if page.next is None else b"%d" % page.next
    gap = b"true" if page.gap else b"false"
    return b'{"pushes":[%b],"gap":%b,"next":%b}\n' % (b",".join(page.frames), gap, following)


def usage_json(report: UsageReport, account: Account) -> bytes:
    """The JSON of the usage of an account."""
    number, hour = report.hour
    days = [_period(day, (report.day - back) * 86_400) for back, day in enumerate(report.days)]
    secrets = _SECRETS[: len(set(account.api_secrets))]
    return _json(
        {"listeners": report.listeners, "secrets": secrets, "hour": _period(hour, number * 3600), "days": days}
    )


def _period(period: UsagePeriod, begins: int) -> dict[str, object]:
    """Describe an hour or a day. `begins`: Unix seconds."""
    at = datetime.fromtimestamp(begins, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"begins": at, **period.figures, "most_listeners": period.most_listeners, "refused": dict(period.refused)}
