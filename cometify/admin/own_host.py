"""The guard against DNS rebinding.

The admin endpoint asks for no password, because only its operator reaches it. A page of a stranger in the operator's
browser could reach it too: the stranger makes the page's host name resolve to 127.0.0.1 while the page is open. The browser
then takes the admin endpoint for the page's own server. Such a request still has the stranger's name in `Host`, and a
stranger can only have a name with a dot.

A page of a stranger can also send a request to an address of the operator's without reading the answer. A browser names the
page's origin in each such request that could change something, so one with another origin is refused.

/health is not guarded: see `AdminRoot`.
"""

import re

from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.exchange import Exchange, Headers
from cometify.http.site import Endpoint

_OWN_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+|[^.:\[\]]+)(:[0-9]+)?|")
"""An IP address, localhost, a name without a dot, or nothing."""
_SAFE = (b"GET", b"HEAD")
"""Methods of requests that change nothing."""
_PORT = re.compile(r":[0-9]+$")


class OwnHost(Endpoint):
    """Answers like another endpoint if the request names a host of the operator.

    `hosts`: further host names of the operator, in lower case. They have a dot.
    """

    def __init__(self, endpoint: Endpoint, hosts: frozenset[str]) -> None:
        self._endpoint = endpoint
        self._hosts = hosts
        self.methods = endpoint.methods
        self.max_body = endpoint.max_body

    def headers(self, request: Exchange) -> Headers:
        return self._endpoint.headers(request)

    def serve(self, request: Exchange) -> None:
        host = request.header("host") or ""
        if _OWN_HOST.fullmatch(host) is None and _PORT.sub("", host).lower() not in self._hosts:
            raise Refused(
                errors.ORIGIN_NOT_ALLOWED,
                "Ask by an IP address, by localhost, by a name without a dot, or by a name that the setting admin_hosts has.",
            )
        if request.method not in _SAFE:
            _check_origin(request.header("origin"), host)
        self._endpoint.serve(request)


def _check_origin(origin: str | None, host: str) -> None:
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        raise Refused(errors.ORIGIN_NOT_ALLOWED, "Pages of another origin may change nothing here: use the console.")
