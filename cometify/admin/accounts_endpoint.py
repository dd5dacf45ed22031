"""/accounts on the admin endpoint: accounts are listed, made, changed and removed. No answer tells a secret a second time."""

import json
from collections.abc import Mapping

import attrs

from cometify.accounts.editor import AccountEditor
from cometify.accounts.record import Record
from cometify.core import errors
from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.list_query import read_asked_accounts
from cometify.core.strict_json import read_json
from cometify.core.webhook_url import shown
from cometify.http.client_address import host_of
from cometify.http.exchange import NO_SNIFF, Exchange, Headers
from cometify.http.site import Endpoint

_JSON = b"application/json"
_MAX_BODY = 64 * 1024
_NOT_SETTINGS = ("api_key", "api_secrets", "suspended")
"""Fields of an account that are told apart from its settings, or never."""
Told = Mapping[str, object]


class _OfAccounts(Endpoint):
    """`editor`: the accounts, and the way to change them."""

    max_body = _MAX_BODY

    def __init__(self, editor: AccountEditor) -> None:
        self.editor = editor

    def headers(self, request: Exchange) -> Headers:
        return NO_SNIFF

    def describe(self, account: Account) -> dict[str, object]:
        """What an operator may know of an account, in values that JSON has."""
        is_of_file = self.editor.accounts.is_of_file(account.api_key)
        record = None if is_of_file else self.editor.record(account.api_key)
        defaults = Account("", ("",))
        settings = _settings(account)
        own = {name: value for name, value in settings.items() if value != _settings(defaults)[name]}
        told: dict[str, object] = {
            "api_key": account.api_key,
            "source": "file" if is_of_file else "store",
            "suspended": account.suspended,
            "secrets": len(account.api_secrets),
            "settings": own if record is None else _as_shown(record.settings),
        }
        if record is not None:
            told |= {"created": record.created, "changed": record.changed, "tag": record.tag}
        return told


def _settings(account: Account) -> dict[str, object]:
    return _as_shown({name: value for name, value in attrs.asdict(account).items() if name not in _NOT_SETTINGS})


def _as_shown(settings: Mapping[str, object]) -> dict[str, object]:
    webhook = settings.get("webhook")
    return {**settings, "webhook": shown(webhook)} if isinstance(webhook, str) else dict(settings)


class AccountsEndpoint(_OfAccounts):
    """/accounts: a page of all accounts, in the order of their keys."""

    methods = (b"GET", b"HEAD")

    def serve(self, request: Exchange) -> None:
        after, limit = read_asked_accounts(request.query())
        keys = sorted(account.api_key for account in self.editor.accounts if account.api_key > after)
        found = [self.editor.accounts.get(key) for key in keys[:limit]]
        rows = [self.describe(account) for account in found if account is not None]
        _answer(request, 200, {"accounts": rows, "next": keys[limit - 1] if len(keys) > limit else None})


class AccountEndpoint(_OfAccounts):
    """/accounts/{apiKey}."""

    methods = (b"GET", b"HEAD", b"PUT", b"DELETE")

    def serve(self, request: Exchange) -> None:
        api_key = request.segments[1]
        if request.method == b"PUT":
            self._put(request, api_key)
        elif request.method == b"DELETE":
            removed = self.editor.remove(api_key, _peer(request))
            removed.addCallback(lambda _none: _answer(request, 200, {"api_key": api_key, "removed": True}))
            removed.addErrback(self.failed, request)
        else:
            account = self.editor.accounts.get(api_key)
            if account is None:
                raise Refused(errors.NOT_FOUND, f"There is no account {api_key}: GET /accounts lists them.")
            _answer(request, 200, {**self.describe(account), "effective": _settings(account)})

    def _put(self, request: Exchange, api_key: str) -> None:
        must_be_new = request.header("if-none-match") == "*"
        if_match = request.header("if-match")
        put = self.editor.put(
            api_key,
            _body(request),
            None if if_match in (None, "*") else if_match.strip('"'),
            must_be_new=must_be_new,
            by=_peer(request),
        )

        def done(result: tuple[Record | None, str | None]) -> None:
            record, made = result
            is_new = record is not None and record.revision == 1
            account = self.editor.accounts.get(api_key)
            told = {"api_key": api_key} if account is None else self.describe(account)
            _answer(request, 201 if is_new else 200, told if made is None else {**told, "api_secret": made})

        put.addCallback(done).addErrback(self.failed, request)


class AccountActionEndpoint(_OfAccounts):
    """/accounts/{apiKey}/{action}."""

    methods = (b"POST",)
    ACTIONS = ("rotate", "retire", "suspend", "resume")

    def serve(self, request: Exchange) -> None:
        _accounts, api_key, action = request.segments
        by = _peer(request)
        body = _body(request) if request.body().strip() else {}
        which = body.pop("secret", "old") if action == "retire" else "old"
        if which not in ("old", "new"):
            raise Refused(errors.INVALID_PARAMETER, 'secret: must be "old" or "new", the secret that goes.')
        if body:
            raise Refused(errors.UNKNOWN_PARAMETER, f"{next(iter(body))}: there is no such parameter; send no body.")
        if action == "rotate":
            done = self.editor.rotate(api_key, by)
        elif action == "retire":
            done = self.editor.retire(api_key, str(which), by)
        else:
            done = self.editor.suspend(api_key, by, is_suspended=action == "suspend")
        done.addCallback(self._done, request, api_key).addErrback(self.failed, request)

    def _done(self, result: tuple[Record | None, str | None], request: Exchange, api_key: str) -> None:
        account = self.editor.accounts.get(api_key)
        told = {"api_key": api_key} if account is None else self.describe(account)
        _answer(request, 200, told if result[1] is None else {**told, "api_secret": result[1]})


def _body(request: Exchange) -> dict[str, object]:
    body = read_json(request.body(), errors.REPEATED_PARAMETER)
    if not isinstance(body, dict):
        raise Refused(
            errors.INVALID_BODY, 'Send a JSON object with the settings of the account, such as {"listeners": 100}.'
        )
    return body


def _peer(request: Exchange) -> str:
    return host_of(request.hop.peer)


def _answer(request: Exchange, status: int, told: Told) -> None:
    request.answer(status, _JSON, json.dumps(told, separators=(",", ":")).encode() + b"\n")
