"""The listeners of this node, and the views that they are in.

The registry knows no engine. It is told of pushes, and tells `wake` which view has a new push. It looks at no listener
then: the next pass over the view, which is bounded, finds those that are owed something else (see fanout.py). If a channel
has very many views, these are gone through in steps (see wide_channels.py).
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping

from cometify.core.group_filter import Filters
from cometify.core.late_views import LateViews
from cometify.core.listener import Listener
from cometify.core.listener_state import Event
from cometify.core.push import Push
from cometify.core.ring import Channel, RingBuffer
from cometify.core.usage import Usage
from cometify.core.view import Source, View, ViewKey
from cometify.delivery.wide_channels import VIEWS, WideChannels
from cometify.runtime.epoll_loop import CallSoon

MOST_LOOKED_AT = 1_000
"""Listeners of a channel that are looked at to count a push that excludes one. A batch can have a hundred such pushes."""
_NOBODY: Mapping[View, bool] = {}


class Registry:
    """All listeners of this node. `call_soon`: see `SlicedWork`. `most`: views that may be raised in one step.

    `usage`: counts the listeners of each account. The counts also go with each view, for the fan-out.
    """

    def __init__(
        self, wake: Callable[[View], None], call_soon: CallSoon, most: int = VIEWS, usage: Usage | None = None
    ) -> None:
        self._wake = wake
        self._usage = usage or Usage()
        self._views: dict[ViewKey, View] = {}
        self._of_transport: Counter[str] = Counter()
        self._of_channel: dict[Channel, dict[View, bool]] = {}
        self._most = most
        self._late = LateViews()
        self._wide = WideChannels(wake, self._late, call_soon, most)
        self._occupied: Callable[[Channel], None] = _nobody_watches
        self._vacated: Callable[[Channel], None] = _nobody_watches

    def watch_channels(self, occupied: Callable[[Channel], None], vacated: Callable[[Channel], None]) -> None:
        """Call `occupied` when the first listener of a channel comes, and `vacated` when the last one leaves.

        A poller leaves with each answer and comes again with its next poll.
        """
        self._occupied, self._vacated = occupied, vacated

    def announce(self, ring: RingBuffer, push: Push) -> None:
        """Advance the views that may see a push, and have it written to their listeners."""
        views = self._of_channel.get(ring.channel, _NOBODY)
        if len(views) > self._most or self._late.exist:
            self._wide.announce(ring, views, push)
            return
        for view, secret in views.items():
            if push.secret and not secret:
                continue
            view.advance(push)
            self._wake(view)

    def lost(self, ring: RingBuffer) -> None:
        """Tell the listeners of a ring that everything up to its floors may be lost, those at the head too.

        The work for each listener is done by the next pass of its view, which is bounded.
        """
        self._wide.announce(ring, self._of_channel.get(ring.channel, _NOBODY))

    def channels(self) -> Iterable[tuple[Channel, Mapping[View, bool]]]:
        """Iterate over the channels that are listened to here, with the views of each and their right to secret pushes."""
        return self._of_channel.items()

    def views(self, channel: Channel) -> Mapping[View, bool]:
        """Return the views of a channel, and whether each sees its secret pushes."""
        return self._of_channel.get(channel, _NOBODY)

    def has(self, channel: Channel) -> bool:
        """Return True if a listener listens to the channel here."""
        return channel in self._of_channel

    def count(self, channel: Channel, secret: bool, push_id: int | None, excluded: str | None = None) -> int:
        """Count the listeners of this node that a push may reach. `excluded`: the listener id that it is not sent to."""
        many = 0
        for view, seen in self._of_channel.get(channel, _NOBODY).items():
            if seen or not secret:
                many += view.members
                if view.filtered.count:
                    many -= view.filtered.count_unwilling((channel[1], secret), push_id)
        return many if excluded is None else many - self._count_excluded(channel, secret, push_id, excluded)

    def _count_excluded(self, channel: Channel, secret: bool, push_id: int | None, listener_id: str) -> int:
        """Count the listeners with an id that are at the head and would get a push otherwise.

        The fan-out looks at each listener of such a push as well. Here the number is bounded, because it is one step.
        """
        found, left = 0, MOST_LOOKED_AT
        for view, seen in self._of_channel.get(channel, _NOBODY).items():
            left -= len(view.live)
            if left < 0:
                break
            if seen or not secret:
                named = [listener for listener in view.live if listener.id == listener_id]
                found += len(named)
                if named and view.filtered.count and push_id is not None:
                    found -= len(view.filtered.unwilling({(channel[1], secret): push_id}, named))
        return found

    def listeners(self) -> Counter[str]:
        """Count the listeners of each transport that has any, by its name."""
        return +self._of_transport

    def enter(
        self,
        listener: Listener,
        rings: Mapping[str, RingBuffer],
        seen: Container[str],
        watermark: Callable[[], int],
        filters: Filters | None = None,
    ) -> None:
        """Put a listener into the view in which it is owed the pushes of `rings`, and of those in `seen` the secret ones too.

        `filters`: it is owed only what these let through. It is behind afterwards, wherever its cursor is.
        """
        names = rings if len(rings) == 1 else sorted(rings)
        key = (listener.encoding, tuple([(rings[name].channel, name in seen) for name in names]))
        view = self._views.get(key)
        if view is None:
            sources: list[Source] = [(rings[name], name in seen) for name in names]
            head = max([ring.newest(secret) for ring, secret in sources])
            counts = self._usage.of(sources[0][0].channel[0])
            view = self._views[key] = View(key, tuple(sources), head, watermark, self._late, counts)
            for ring, secret in sources:
                views = self._of_channel.get(ring.channel)
                if views is None:
                    views = self._of_channel[ring.channel] = {}
                    self._occupied(ring.channel)
                views[view] = secret
        self.enter_view(listener, view)
        if filters is not None:
            listener.filters = filters
            view.filtered.add(listener, filters)

    def view(self, key: ViewKey) -> View | None:
        """Return the view of a key, or None if no listener is in it."""
        return self._views.get(key)

    def enter_view(self, listener: Listener, view: View) -> None:
        """Put a listener into a view that has members, so that the rings need not be asked. It must go live at once.

        `enter` uses this for a new view too, and leaves the listener behind.
        """
        view.members += 1
        view.counts.entered()
        self._of_transport[view.encoding.name] += 1
        listener.view = view

    def visited(self, view: View) -> None:
        """Count a poller that was answered at once from a view that everybody has left. It has come and left."""
        view.counts.entered()
        view.counts.listeners -= 1
        for ring, _secret in view.sources:
            if ring.channel not in self._of_channel:
                self._occupied(ring.channel)
                self._vacated(ring.channel)

    def part(self, listener: Listener, event: Event = Event.ENDED) -> list[Channel]:
        """Take a listener out of its view, if it is in one. Returns the channels on which nobody is left.

        `event`: ENDED, or RELISTENED if it will be put into another view at once.
        """
        listener.transition(event)
        view = listener.view
        if view is None:
            return []
        listener.view = None
        if listener.filters is not None:
            view.filtered.discard(listener, listener.filters)
            listener.filters = None
        view.members -= 1
        view.counts.listeners -= 1
        self._of_transport[view.encoding.name] -= 1
        if view.members:
            return []
        del self._views[view.key]
        alone = []
        for ring, _secret in view.sources:
            views = self._of_channel[ring.channel]
            del views[view]
            if not views:
                del self._of_channel[ring.channel]
                self._vacated(ring.channel)
                alone.append(ring.channel)
        return alone


def _nobody_watches(_channel: Channel) -> None:
    """Stands in for the functions of `Registry.watch_channels`."""
