"""The console's lists and actions that ask the engine, which answers for all nodes.

- GET /console/identifiers?account=: a page of an account's identifiers. `prefix`, `after`, `limit` as for a back end.
- GET /console/counts?account=&identifier=: the listeners and kept pushes of one identifier.
- POST /console/disconnect?account= `{"subject":"user_7"}`: ends connections, see `transports/disconnect.py`.
- POST /console/check `{"account":"…","token":"…"}` or `{"request":"…"}`: why something is refused.

They need no API secret, because whoever reaches the admin endpoint is the operator. `admin/own_host.py` says how a page of a
stranger is kept out. Nothing of them is logged.
"""

import json
from collections.abc import Callable, Mapping
from typing import cast

import attrs
from twisted.internet.defer import Deferred

from cometify.admin.check import Check
from cometify.admin.request_check import check_request
from cometify.admin.token_check import check_token
from cometify.core import errors
from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.identifier import Identifier
from cometify.core.list_query import read_asked_names
from cometify.core.revocation import read_disconnect, revoked_from
from cometify.http.bodies import read_json_object
from cometify.http.exchange import NO_SNIFF, Exchange, Headers
from cometify.http.site import Endpoint
from cometify.interfaces import IAccounts, IEngine
from cometify.transports.back_end import details_json, page_json

MAX_PASTED = 1024 * 1024
"""Bytes of a request that is checked."""


@attrs.frozen
class Service:
    """The parts of a server that the actions use. `wall`: the wall clock, in Unix seconds."""

    accounts: IAccounts
    engine: IEngine
    wall: Callable[[], float]


class _Action(Endpoint):
    """An endpoint that answers with JSON, now or later."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def headers(self, request: Exchange) -> Headers:
        return NO_SNIFF

    def serve(self, request: Exchange) -> None:
        answered = self.ask(request)
        if isinstance(answered, bytes):
            request.answer(200, b"application/json", answered)
        else:
            answered.addCallback(lambda body: request.answer(200, b"application/json", body))
            answered.addErrback(self.failed, request)

    def ask(self, request: Exchange) -> "bytes | Deferred[bytes]":
        """Make the answer. May raise `Refused`."""
        raise NotImplementedError

    def account(self, request: Exchange) -> Account:
        """The account that the query names. Raises `Refused`."""
        api_key = request.query().get("account", [""])[-1]
        account = self.service.accounts.get(api_key)
        if account is None:
            raise Refused(errors.NOT_FOUND, "No account has this API key: name one in account=.")
        return account


class IdentifiersAction(_Action):
    """GET /console/identifiers."""

    def ask(self, request: Exchange) -> "Deferred[bytes]":
        account = self.account(request)
        asked = read_asked_names({name: values for name, values in request.query().items() if name != "account"})
        return self.service.engine.queries.identifiers(account, asked).addCallback(page_json)


class CountsAction(_Action):
    """GET /console/counts."""

    def ask(self, request: Exchange) -> "Deferred[bytes]":
        account = self.account(request)
        identifier = Identifier.read(request.query().get("identifier", [""])[-1], account.spelling)
        return self.service.engine.queries.identifier(account, identifier.folded).addCallback(details_json)


class DisconnectAction(_Action):
    """POST /console/disconnect."""

    methods = (b"POST",)
    max_body = 4096

    def ask(self, request: Exchange) -> "Deferred[bytes]":
        account = self.account(request)
        disconnect = read_disconnect(read_json_object(request.header("content-type"), request.body()))
        at = revoked_from(self.service.wall())
        counted = self.service.engine.disconnect(account, disconnect, at, None)
        return counted.addCallback(lambda count: b'{"disconnected":%d}' % count)


class CheckAction(_Action):
    """POST /console/check."""

    methods = (b"POST",)
    max_body = MAX_PASTED

    def ask(self, request: Exchange) -> bytes:
        members = read_json_object(request.header("content-type"), request.body())
        try:
            checks = self._checks({name: value for name, value in members.items() if isinstance(value, str)})
        except (ArithmeticError, RecursionError, ValueError):
            # The error is not logged, because its words can repeat what was pasted.
            raise Refused(
                errors.INVALID_BODY,
                "It has a value that cannot be checked, such as a number with hundreds of digits: look for it there.",
            ) from None
        return json.dumps({"checks": [attrs.asdict(check) for check in checks]}).encode()

    def _checks(self, members: Mapping[str, str]) -> list[Check]:
        service = self.service
        if "request" in members:
            return check_request(service.accounts.get, members["request"], service.wall())
        if "token" not in members:
            raise Refused(errors.MISSING_PARAMETER, 'Send {"request":"…"}, or {"account":"…","token":"…"}.')
        api_key = members.get("account", "")
        names = tuple([name.strip() for name in members.get("identifiers", "").split(",") if name.strip()])
        revoked = cast("Callable[[str], float]", lambda subject: service.engine.revoked_at(api_key, subject))
        account = service.accounts.get(api_key)
        return check_token(account, api_key, members["token"].strip(), names, service.wall(), revoked)


def action_endpoints(service: Service) -> Mapping[tuple[str, ...], Endpoint]:
    """The endpoints by their path."""
    actions: Mapping[str, type[_Action]] = ACTIONS
    return {("console", name): action(service) for name, action in actions.items()}


ACTIONS: Mapping[str, type[_Action]] = {
    "identifiers": IdentifiersAction,
    "counts": CountsAction,
    "disconnect": DisconnectAction,
    "check": CheckAction,
}
