"""/reload on the admin endpoint: the file is read again, and the answer tells what has changed."""

import json
from collections.abc import Callable

from cometify.config.difference import Difference
from cometify.config.settings import SettingsError
from cometify.core import errors
from cometify.core.errors import Refused
from cometify.core.strict_json import read_json
from cometify.http.exchange import NO_SNIFF, Exchange, Headers
from cometify.http.site import Endpoint

FindReload = Callable[[], Callable[[bool], Difference] | None]
"""Returns the function that reads the file again, or None if this process does not read it.

The argument of that function: any number of accounts may go.
"""


class ReloadEndpoint(Endpoint):
    """`find_reload`: finds the function, which is there once the server is built."""

    methods = (b"POST",)

    def __init__(self, find_reload: FindReload) -> None:
        self._find_reload = find_reload

    def headers(self, request: Exchange) -> Headers:
        return NO_SNIFF

    def serve(self, request: Exchange) -> None:
        body = read_json(request.body(), errors.REPEATED_PARAMETER) if request.body().strip() else {}
        may_drop = body.get("drop", False) if isinstance(body, dict) and body.keys() <= {"drop"} else None
        if not isinstance(may_drop, bool):
            raise Refused(errors.INVALID_PARAMETER, 'Send {"drop": true} to drop any number of accounts, or no body.')
        reload = self._find_reload()
        if reload is None:
            raise Refused(errors.ACCOUNT_CONFLICT, "This process does not read the file: ask the first one.")
        try:
            difference = reload(may_drop)
        except SettingsError as error:
            raise Refused(errors.ACCOUNT_CONFLICT, f"The current accounts stay: {error}") from None
        told = {"came": difference.came, "changed": difference.changed, "gone": difference.gone}
        request.answer(200, b"application/json", json.dumps(told, separators=(",", ":")).encode() + b"\n")
