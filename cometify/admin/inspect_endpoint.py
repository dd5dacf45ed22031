"""/inspect on the admin endpoint: the request, and the answer in JSON."""

import json
from collections.abc import Iterable, Mapping

from cometify.admin.inspector import Inspector
from cometify.core import errors
from cometify.core.errors import Refused
from cometify.core.identifier import EXTENDED, Identifier
from cometify.core.ring import Channel
from cometify.http.exchange import NO_SNIFF, Exchange, Headers
from cometify.http.site import Endpoint


def read_channel(request: Exchange) -> Channel | None:
    """The identifier that a request names, or None if it asks for the overview.

    Raises `Refused` for a wrong query.
    """
    query = request.query()
    account, identifier = [query.get(name, [""])[-1] for name in ("account", "identifier")]
    if not account and not identifier:
        return None
    if not account or not identifier:
        raise Refused(errors.MISSING_PARAMETER, "Name both account (its API key) and identifier, or neither.")
    return account, Identifier.read(identifier, EXTENDED).folded


def answer_inspected(request: Exchange, processes: Iterable[Mapping[str, object]]) -> None:
    """Answer with the description of each process."""
    body = json.dumps({"processes": list(processes)}, separators=(",", ":")).encode()
    request.answer(200, b"application/json", body)


class InspectEndpoint(Endpoint):
    """/inspect of a server that is one process."""

    methods = (b"GET", b"HEAD")

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector

    def headers(self, request: Exchange) -> Headers:
        return NO_SNIFF

    def serve(self, request: Exchange) -> None:
        channel = read_channel(request)
        answer_inspected(request, [self._inspector.overview() if channel is None else self._inspector.channel(channel)])
