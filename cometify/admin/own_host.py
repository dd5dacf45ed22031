"""The guard of the admin endpoint against web pages of strangers.

The admin endpoint asks for no password, because only its operator reaches it. A page of a stranger in the operator's
browser could reach it too: the stranger makes the page's host name resolve to 127.0.0.1 while the page is open. The browser
then takes the admin endpoint for the page's own server. Such a request still has the stranger's name in `Host`, and a
stranger can only have a name with a dot.

A page of a stranger can also send a request to an address of the operator's without reading the answer. That request could
change something, and each scrape of the metrics costs time. A browser tells in `Sec-Fetch-Site` that a page of another origin
asks, if it asks by HTTPS or at 127.0.0.1 or localhost. It names the page's origin in each request but GET and HEAD, so
either of them refuses the request. A link may lead to the console's page. Programs send neither header.

/health is not guarded: see `AdminRoot`.
"""

import re

from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.exchange import Exchange, Headers
from cometify.http.site import Endpoint

_OWN_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+|[^.:\[\]]+)(:[0-9]+)?|")
"""An IP address, localhost, a name without a dot, or nothing."""
_OWN_SITES = (None, "same-origin", "none")
"""Values of `Sec-Fetch-Site` of a program, of the console, and of a person who has typed the address."""
_POLICY = (b"Cross-Origin-Resource-Policy", b"same-origin")
_PORT = re.compile(r":[0-9]+$")


class OwnHost(Endpoint):
    """Answers like another endpoint if the request names a host of the operator.

    `hosts`: further host names of the operator, in lower case. They have a dot. `takes_links`: a page of another origin may
    have a link to this endpoint.
    """

    def __init__(self, endpoint: Endpoint, hosts: frozenset[str], *, takes_links: bool = False) -> None:
        self._endpoint = endpoint
        self._hosts = hosts
        self._takes_links = takes_links
        self.methods = endpoint.methods
        self.max_body = endpoint.max_body

    def headers(self, request: Exchange) -> Headers:
        return (*self._endpoint.headers(request), _POLICY)

    def serve(self, request: Exchange) -> None:
        host = request.header("host") or ""
        if _OWN_HOST.fullmatch(host) is None and _PORT.sub("", host).lower() not in self._hosts:
            raise Refused(
                errors.ORIGIN_NOT_ALLOWED,
                "Ask by an IP address, by localhost, by a name without a dot, or by a name that the setting admin_hosts has.",
            )
        is_link = self._takes_links and request.header("sec-fetch-mode") == "navigate"
        is_foreign = request.header("sec-fetch-site") not in _OWN_SITES and not is_link
        if is_foreign or _is_foreign_origin(request.header("origin"), host):
            raise Refused(
                errors.ORIGIN_NOT_ALLOWED,
                "A web page of another origin may not ask here: use the console, the command or curl.",
            )
        self._endpoint.serve(request)


def _is_foreign_origin(origin: str | None, host: str) -> bool:
    return origin is not None and origin.partition("://")[2].lower() != host.lower()
