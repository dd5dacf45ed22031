"""The inspector's model: the listeners and the kept pushes of one server.

It answers the question why a push does not arrive. For that it names API keys and identifiers, which /metrics must not. It
never tells a text, a key, a secret or an address.
"""

from collections.abc import Iterable
from heapq import nlargest
from itertools import islice

import attrs

from cometify import __version__
from cometify.core.listener import Listener
from cometify.core.push import Push
from cometify.core.ring import Channel, RingBuffer
from cometify.core.view import View
from cometify.delivery.heartbeats import HeartbeatWheel
from cometify.delivery.registry import Registry
from cometify.interfaces import IEngine

MOST_IDENTIFIERS = 100
"""Identifiers in the overview: those with the most listeners."""
MOST_PUSHES = 20
"""Pushes that are listed of one identifier: the last ones."""
MOST_VIEWS = 100
"""Views that are listed of one identifier: those with listeners that are behind first, then those with the most."""
MOST_SLOW = 50
"""Listeners that are listed of those that do not read."""
MOST_SEARCHED = 10_000
"""Listeners that do not read, and are looked at to find those of one identifier. This takes 2 ms."""
MOST_NAMES = 10
"""Identifiers that are named of those that one view of listeners has."""


@attrs.frozen(eq=False)
class Inspector:
    """Describes one server in values that JSON has."""

    engine: IEngine
    registry: Registry
    heartbeats: HeartbeatWheel

    def overview(self) -> dict[str, object]:
        """The identifiers that are listened to here. Reads all of them: 0.1 to 0.2 s for 100,000."""
        channels = list(self.registry.channels())
        most = nlargest(MOST_IDENTIFIERS, channels, key=lambda channel: _count(channel[1]))
        return {
            "version": __version__,
            "listeners": self.registry.listeners(),
            "listened_to": len(channels),
            "identifiers": [
                {"account": api_key, "identifier": name, "listeners": _count(views), **_kept(_ring_of(views, name))}
                for (api_key, name), views in most
            ],
        }

    def channel(self, channel: Channel) -> dict[str, object]:
        """The listeners of one identifier by view (listeners that are owed the same bytes), and the last pushes to it."""
        ring = self.engine.peek(channel)
        pushes: Iterable[Push] = () if ring is None else islice(ring.latest(), MOST_PUSHES)
        views = self.registry.views(channel)
        listed = nlargest(
            MOST_VIEWS, views.items(), key=lambda item: (item[0].members - len(item[0].live), item[0].members)
        )
        return {
            "version": __version__,
            "account": channel[0],
            "identifier": channel[1],
            "listeners": [_view(view, secret) for view, secret in listed],
            "views": len(views),
            **_kept(ring),
            "pushes": [_push(push) for push in pushes],
        }

    def slow(self, channel: Channel) -> list[dict[str, object]]:
        """The listeners of one identifier that do not read, with their ids."""
        views = self.registry.views(channel)
        searched = islice(self.heartbeats.waiting(), MOST_SEARCHED)
        found = islice(((listener, seconds) for listener, seconds in searched if listener.view in views), MOST_SLOW)
        return [_slow(listener, seconds) for listener, seconds in found]


def _count(views: Iterable[View]) -> int:
    return sum([view.members for view in views])


def _ring_of(views: Iterable[View], name: str) -> RingBuffer:
    return next(ring for view in views for ring, _secret in view.sources if ring.channel[1] == name)


def _kept(ring: RingBuffer | None) -> dict[str, object]:
    """The size of a ring. `ring`: None if this node has none, because nobody listens here and Redis keeps the pushes."""
    if ring is None:
        return {"kept": None, "bytes": None, "last": None}
    last = next(ring.latest(), None)
    return {"kept": len(ring), "bytes": ring.kept_bytes, "last": None if last is None else last.position}


def _view(view: View, secret: bool) -> dict[str, object]:
    names = [ring.channel[1] for ring, _secret in view.sources]
    return {
        "transport": view.encoding.name,
        "secret": secret,
        "count": view.members,
        "behind": view.members - len(view.live),
        "with_internal_id": view.filtered.count,
        "names": names[:MOST_NAMES],
        "names_in_all": len(names),
    }


def _slow(listener: Listener, seconds: int) -> dict[str, object]:
    view = listener.view
    assert view is not None
    return {
        "listener": listener.id or None,
        "transport": listener.encoding.name,
        "seconds": seconds,
        "unread": listener.unread(),
        "behind_by": max(0, view.head - listener.cursor) / 1_000_000,
    }


def _push(push: Push) -> dict[str, object]:
    return {
        "position": push.position,
        "push_id": None if push.push_id is None else str(push.push_id),
        "secret": push.secret,
        "bytes": len(push.frame),
    }
