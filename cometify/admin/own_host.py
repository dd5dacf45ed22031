"""The guard against DNS rebinding.

The admin endpoint asks for no password, because only its operator reaches it. A page of a stranger in the operator's
browser could reach it too: the page's own host name is made to resolve to 127.0.0.1 while the page is open, and the browser
then takes the admin endpoint for the page's own server. Such a request still has the stranger's name in `Host`, and a
stranger can only have a name with a dot.
"""

import re

from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.exchange import Exchange

_OWN_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+|[^.:\[\]]+)(:[0-9]+)?|")
"""An IP address, localhost, a name without a dot, or nothing."""


def check_host(request: Exchange) -> None:
    """Raises `Refused` (origin_not_allowed) for a host by whose name a stranger's page could ask."""
    if _OWN_HOST.fullmatch(request.header("host") or "") is None:
        raise Refused(
            errors.ORIGIN_NOT_ALLOWED, "Ask by an IP address, by localhost, or by a name without a dot, such as node1."
        )
