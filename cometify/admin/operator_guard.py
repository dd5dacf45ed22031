"""The guard of requests that read or change accounts.

With `admin_token_file` each request needs the token of that file. Without it, only peers on this machine are answered, and no
request that a proxy has passed on.

A web page of a stranger in the operator's browser is on this machine too. `OwnHost` refuses its requests by their headers. An
old browser may not send these. So a change needs JSON as its content type, which a browser sends to another origin only after
a preflight, and nothing here answers one.
"""

from hmac import compare_digest

from cometify.config.secret_sources import admin_token
from cometify.core.errors import NOT_AUTHORIZED, REPEATED_PARAMETER, UNSUPPORTED_MEDIA_TYPE, Refused
from cometify.http.clear_text import is_this_machine
from cometify.http.client_address import host_of
from cometify.http.exchange import Exchange, Headers
from cometify.http.site import Endpoint

_PASSED_ON = ("x-forwarded-for", "x-forwarded-proto", "x-real-ip", "forwarded", "via")
"""Headers that a proxy adds."""
_READS = (b"GET", b"HEAD")


class OperatorGuard(Endpoint):
    """Answers like another endpoint if the request is the operator's. `token_file`: see the setting `admin_token_file`."""

    def __init__(self, endpoint: Endpoint, token_file: str | None) -> None:
        self._endpoint = endpoint
        self._token_file = token_file
        self.methods = endpoint.methods
        self.max_body = endpoint.max_body

    def headers(self, request: Exchange) -> Headers:
        return self._endpoint.headers(request)

    def serve(self, request: Exchange) -> None:
        if self._token_file is None:
            self._check_peer(request)
        else:
            self._check_token(request, self._token_file)
        if request.method not in _READS:
            self._check_type(request)
        self._endpoint.serve(request)

    @staticmethod
    def _check_peer(request: Exchange) -> None:
        passed_on = request.hop.is_proxied or any(request.header(name) is not None for name in _PASSED_ON)
        if passed_on or not is_this_machine(host_of(request.hop.peer)):
            raise Refused(
                NOT_AUTHORIZED,
                "Without a token, accounts can be asked for from this machine alone, and not through a proxy: set "
                "admin_token_file, and send Authorization: Bearer {token}.",
            )

    @staticmethod
    def _check_token(request: Exchange, path: str) -> None:
        # Read each time, so that another token holds at once. The operator's requests are few, and the file is short.
        try:
            token = admin_token(path)
        except ValueError as error:
            raise Refused(NOT_AUTHORIZED, f"admin_token_file: {error}.") from None
        if len(request.headers("authorization")) > 1:
            raise Refused(REPEATED_PARAMETER, "The header Authorization is given more than once: send it once.")
        scheme, _, sent = (request.header("authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not compare_digest(sent.strip().encode(), token.encode()):
            raise Refused(
                NOT_AUTHORIZED,
                "Send Authorization: Bearer {token}, with the token of the file that admin_token_file names.",
            )

    def _check_type(self, request: Exchange) -> None:
        kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/json" and self._token_file is None:
            raise Refused(UNSUPPORTED_MEDIA_TYPE, "Send Content-Type: application/json, also without a body.")
