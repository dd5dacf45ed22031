"""The publisher of a request: its account, and the verifier of its drafts.

A publisher proves itself in one of three ways. The first that a request has is judged alone: if it is wrong, a right one
beside it does not help.

1. `Cometify-Signature`: HMAC over the request.
2. `Authorization: Bearer {apiSecret}`, if the request crossed no network without encryption.
3. The parameter `secure`. It is in the body, so its verifier is called when the body has become a draft.
"""

from collections.abc import Callable
from functools import partial

from cometify.core.account import STRANGER, Account
from cometify.core.account_token import read_account_token
from cometify.core.admission import Verifier, checked_already
from cometify.core.bearer import check_bearer, is_secret_of
from cometify.core.errors import MISSING_PARAMETER, NOT_AUTHORIZED, Refused
from cometify.core.hmac_signature import (
    NONCE_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    check_signed_head,
    check_signed_request,
    note_nonce,
)
from cometify.core.md5_signature import verify_secure
from cometify.core.token import WRONG_SIGNATURE, looks_like_token, refuse_token
from cometify.http.clear_text import came_in_clear
from cometify.http.client_address import Networks
from cometify.http.exchange import Exchange
from cometify.interfaces import IAccounts
from cometify.transports.push_headers import AUTHORIZATION, SIGNATURE, read_bearer, read_signed_request

Find = Callable[[str], Account | None]
"""Finds the account of an API key. May raise `Refused`."""


class Publishers:
    """Finds the publisher of a request.

    `trusted`: the proxies whose X-Forwarded-Proto is believed. `wall`: the wall clock, in Unix seconds.
    """

    def __init__(self, accounts: IAccounts, trusted: Networks, wall: Callable[[], float]) -> None:
        self._accounts = accounts
        self._trusted = trusted
        self._wall = wall

    def of_push(self, request: Exchange) -> tuple[Account | None, Verifier]:
        """Find the publisher of a single push. Raises `Refused`.

        The account is None if no account has this API key. The verifier refuses that then.
        """
        header = request.header
        if header(SIGNATURE) is not None or header(AUTHORIZATION) is not None:
            publisher = self._by_the_head(request, self._accounts.find)
            if publisher is not None:
                return publisher[0], _verifier(publisher[1])
        api_key = request.segments[0]
        account = self._accounts.find(api_key)
        return account, partial(verify_secure, account, api_key)

    def of_batch(self, request: Exchange) -> tuple[Account, Verifier]:
        """Find the publisher of a batch. Raises `Refused`."""
        account, nonce = self.of_request(request)
        return account, _verifier(nonce)

    def of_request(self, request: Exchange, find: Find | None = None) -> tuple[Account, str | None]:
        """Find the publisher of a request that `secure` cannot sign, and its nonce if it is signed. Raises `Refused`.

        A request with a nonce must be served only once. The caller sees to that. `find`: finds the account by its API key, by
        default for somebody who uses it.
        """
        publisher = self._by_the_head(request, find or self._accounts.find)
        if publisher is None:
            raise Refused(
                MISSING_PARAMETER,
                f"This request needs the headers {TIMESTAMP_HEADER}, {NONCE_HEADER} and {SIGNATURE_HEADER}, which sign it with "
                "HMAC, or Authorization: Bearer {apiSecret} over TLS.",
            )
        return publisher

    def of_reader(self, request: Exchange, *, may_be_suspended: bool) -> tuple[Account, str | None]:
        """Find the account of a request that the account's token may prove too: see `core.account_token`.

        `may_be_suspended`: its API secret proves the request while the account is suspended. A token does in any case. Returns
        the same as `of_request`. Raises `Refused`.
        """
        given = read_bearer(request) if request.header(SIGNATURE) is None else None
        if given is None or not looks_like_token(given):
            return self.of_request(request, self._find_any if may_be_suspended else self._accounts.find)
        if came_in_clear(request, self._trusted):
            raise _token_sent_in_clear()
        api_key = request.segments[0]
        account = self._find_any(api_key)
        # An API secret can have the form of a token, so the secrets are compared first.
        if account is not None and account.signatures != "v2" and is_secret_of(account, given):
            return account, None
        read_account_token(given, api_key, (account or STRANGER).api_secrets, self._wall())
        if account is None:  # everybody knows the secrets that stand in for those of an unknown API key
            raise refuse_token(WRONG_SIGNATURE)
        return account, None

    def check_head_of_batch(self, request: Exchange) -> None:
        """Refuse a batch whose head tells that it cannot be genuine, before a long body is read. Raises `Refused`."""
        if request.header(SIGNATURE) is None:
            self.of_batch(request)
        else:
            check_signed_head(self._accounts.find(request.segments[0]), read_signed_request(request), self._wall())

    def _find_any(self, api_key: str) -> Account | None:
        """Find an account, also one that is suspended. Raises `Refused` if the accounts are not known yet."""
        return self._accounts.get(api_key) or self._accounts.find(api_key)

    def _by_the_head(self, request: Exchange, find: Find) -> tuple[Account, str | None] | None:
        """Find the publisher that the headers prove, and the nonce, before anything is parsed for a stranger.

        None: they prove none.
        """
        if request.header(SIGNATURE) is not None:
            signed_request = read_signed_request(request)
            account = check_signed_request(find(request.segments[0]), signed_request, self._wall())
            return account, signed_request.nonce
        api_secret = read_bearer(request)
        if api_secret is None:
            return None
        if came_in_clear(request, self._trusted):
            raise _sent_in_clear()
        return check_bearer(find(request.segments[0]), api_secret), None


def _verifier(nonce: str | None) -> Verifier:
    """Make the verifier of drafts whose publisher the head has proved."""
    return checked_already if nonce is None else partial(note_nonce, nonce)


def _token_sent_in_clear() -> Refused:
    return Refused(
        NOT_AUTHORIZED,
        "A token is not taken from a request that may have crossed a network without TLS, because others can read it there. "
        "Use HTTPS, or the server's own machine. A proxy must be in trusted_proxies, and set X-Forwarded-Proto to https for a "
        "client that used TLS.",
    )


def _sent_in_clear() -> Refused:
    return Refused(
        NOT_AUTHORIZED,
        "An API secret is not taken from a request that may have crossed a network without TLS, because others can read it "
        "there. If it did, replace the secret. Send it by HTTPS, from the server's own machine or through a Unix socket, or "
        "sign with HMAC. A proxy must be in trusted_proxies, and set X-Forwarded-Proto to https for a client that used TLS.",
    )
