"""/inspect: who listens to what on this server, and what is kept of it; and the page that shows it, at /.

It is there for the question why something does not arrive. So it names API keys and identifiers, which /metrics must not,
and never a text, a key, a secret or anybody's address.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from heapq import nlargest
from itertools import islice
from typing import Any

import attrs

from cometify import __version__
from cometify.core import errors
from cometify.core.errors import Refused
from cometify.core.identifier import Identifier
from cometify.core.push import Push
from cometify.core.ring import Channel, RingBuffer
from cometify.core.view import View
from cometify.delivery.registry import Registry
from cometify.http.exchange import NO_STORE, Exchange, Headers
from cometify.http.site import Endpoint
from cometify.http.static_files import POLICY, SCRIPT, STATIC, StaticEndpoint
from cometify.interfaces import IEngine

MOST_IDENTIFIERS = 100
"""How many are listed: those with the most listeners."""
MOST_PUSHES = 20
"""How many of the last pushes of an identifier are listed."""
MOST_NAMES = 10
"""How many of the identifiers are named to which the same listeners listen."""


@attrs.frozen(eq=False)
class Inspector:
    """What one server tells when it is looked into, in what JSON knows."""

    engine: IEngine
    registry: Registry

    def overview(self) -> dict[str, Any]:
        """The identifiers that are listened to here. It goes through all of them: 0.1 to 0.2 s for 100,000."""
        channels = list(self.registry.channels())
        most = nlargest(MOST_IDENTIFIERS, channels, key=lambda channel: _count(channel[1]))
        return {
            "version": __version__,
            "listeners": dict(self.registry.listeners()),
            "listened_to": len(channels),
            "identifiers": [
                {"account": api_key, "identifier": name, "listeners": _count(views), **_kept(_ring_of(views, name))}
                for (api_key, name), views in most
            ],
        }

    def channel(self, channel: Channel) -> dict[str, Any]:
        """Who listens to one identifier here, those together who are owed the same, and the last pushes to it."""
        ring = self.engine.peek(channel)
        pushes: Iterable[Push] = () if ring is None else islice(ring.latest(), MOST_PUSHES)
        return {
            "version": __version__,
            "account": channel[0],
            "identifier": channel[1],
            "listeners": [_view(view, secret) for view, secret in self.registry.views(channel).items()],
            **_kept(ring),
            "pushes": [_push(push) for push in pushes],
        }


def _count(views: Iterable[View]) -> int:
    return sum([view.members for view in views])


def _ring_of(views: Iterable[View], name: str) -> RingBuffer:
    return next(ring for view in views for ring, _secret in view.sources if ring.channel[1] == name)


def _kept(ring: RingBuffer | None) -> dict[str, Any]:
    """Nothing is kept here of what nobody listens to where Redis keeps it."""
    if ring is None:
        return {"kept": None, "bytes": None, "last": None}
    last = next(ring.latest(), None)
    return {"kept": len(ring), "bytes": ring.kept_bytes, "last": None if last is None else last.position}


def _view(view: View, secret: bool) -> dict[str, Any]:
    names = [ring.channel[1] for ring, _secret in view.sources]
    return {
        "transport": view.encoding.name,
        "secret": secret,
        "count": view.members,
        "behind": view.members - len(view.live),
        "with_internal_id": len(view.filtered),
        "names": names[:MOST_NAMES],
        "names_in_all": len(names),
    }


def _push(push: Push) -> dict[str, Any]:
    return {
        "position": push.position,
        "push_id": None if push.push_id is None else str(push.push_id),
        "secret": push.secret,
        "bytes": len(push.frame),
    }


_OWN_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+|[^.:\[\]]+)(:[0-9]+)?|")
"""An IP address, localhost, or a name without a dot."""


def channel_asked(request: Exchange) -> Channel | None:
    """The identifier that a request names, None for all. Raises `Refused`; also for a host by whose name somebody else's page,
    in the browser of whoever may ask here, could have it ask too (DNS rebinding).
    """
    if _OWN_HOST.fullmatch(request.header("host") or "") is None:
        raise Refused(
            errors.ORIGIN_NOT_ALLOWED, "Ask by an IP address, by localhost, or by a name without a dot, such as node1."
        )
    query = request.query()
    account, identifier = [query.get(name, [""])[-1] for name in ("account", "identifier")]
    if not account and not identifier:
        return None
    if not account or not identifier:
        raise Refused(errors.MISSING_PARAMETER, "Name both account (its API key) and identifier, or neither.")
    return account, Identifier.read(identifier).folded


def answer_inspected(request: Exchange, processes: Iterable[Mapping[str, Any]]) -> None:
    """Answer with what each process has told."""
    body = json.dumps({"processes": list(processes)}, separators=(",", ":")).encode()
    request.answer(200, b"application/json", body)


class InspectEndpoint(Endpoint):
    """Of a server that is one process."""

    methods = (b"GET", b"HEAD")

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector

    def headers(self, request: Exchange) -> Headers:
        return NOT_SNIFFED

    def serve(self, request: Exchange) -> None:
        channel = channel_asked(request)
        answer_inspected(request, [self._inspector.overview() if channel is None else self._inspector.channel(channel)])


NOT_SNIFFED: Headers = (*NO_STORE, (b"X-Content-Type-Options", b"nosniff"))


def page_endpoints() -> Iterator[tuple[tuple[str, ...], Endpoint]]:
    """By path: the page that shows it."""
    policy = ((b"Content-Security-Policy", POLICY), (b"Referrer-Policy", b"no-referrer"))
    for path, name, content_type in (
        ("", "inspector/index.html", b"text/html; charset=utf-8"),
        ("inspector.js", "inspector/inspector.js", SCRIPT),
        ("inspector.css", "inspector/inspector.css", b"text/css; charset=utf-8"),
        ("favicon.svg", "page/favicon.svg", b"image/svg+xml"),
    ):
        yield (path,), StaticEndpoint((STATIC / name).read_bytes(), content_type, b"no-cache", policy)
