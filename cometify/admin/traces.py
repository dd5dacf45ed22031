"""Traces of pushes for OpenTelemetry: from the request to the last listener of this node.

Theory of operation
===================

A trace has one span for the push, and a span for each of its steps:

    push          the request, until the engine has the push. Its parent is the span that `traceparent` names
    accept        until the push is checked
    keep          until the engine has kept it
    announce      from the same moment until this node has announced it to its views
    write first   from there until a live listener has its bytes
    write last    from there until every live listener has been written to

With Redis a node hears its own push over the subscription, before or after the reply that tells the position. So each
announcement is remembered while a traced push waits for its reply, and both are put together by the position. Other nodes
announce the push as well, but know of no trace.

A push is traced only when it was accepted, so that nobody without a secret can make spans. Spans are made when their end is
known, with the times that were noted, so a push that is not sampled costs one look at its header and a random number.

A server without the setting `traces` has none of this: `PushEndpoint` and the engine are used as they are. The fan-out alone
asks once for each 32 listeners if there is something to tell.
"""

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cometify.admin.trace_export import Exporter
from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.push import Draft, Push, Receipt
from cometify.core.ring import Channel, RingBuffer
from cometify.core.trace_parent import TraceParent, read_trace_parent
from cometify.core.usage import Usage
from cometify.core.view import View
from cometify.delivery.fanout import FanOut
from cometify.delivery.registry import Registry
from cometify.http.exchange import Exchange
from cometify.interfaces import IAnnounce, IAppend
from cometify.transports.publishers import Publishers
from cometify.transports.push import PushEndpoint

MOST_WATCHED = 1_000
"""Announcements whose listeners are waited for at once. The oldest is given up, for example because its view is gone."""
MOST_VIEWS = 1_000
"""Views of a channel that are waited for. The listeners of a push to more of them are not traced."""

Views = Callable[[Channel], Mapping[View, bool]]
Place = tuple[str, int]
"""The API key and the position of a push, which no other push has."""


@attrs.define(eq=False)
class _Trace:
    """A push that is traced. The times are Unix nanoseconds. `span`: made when the push is accepted."""

    parent: TraceParent | None
    began: int
    span: Any = None
    accepted: int = 0


@attrs.define(eq=False)
class _Announcement:
    """A push that was announced on this node. `views`: those whose live listeners are still written to."""

    position: int
    at: int
    views: set[View]
    trace: _Trace | None = None
    first: int | None = None
    last: int | None = None


class PushTraces:
    """Watches the pushes of one server. See `IDeliveryTrace`, and the theory of operation above.

    `ratio`: the share of the pushes without `traceparent` that are traced. A push with it is traced if its trace is recorded.
    `views`: gives the views of a channel. `now`: Unix nanoseconds.
    """

    def __init__(
        self,
        exporter: Exporter,
        ratio: float,
        views: Views,
        now: Callable[[], int] = time.time_ns,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._exporter = exporter
        self._ratio = ratio
        self._views = views
        self._now = now
        self._chance = chance
        self._current: _Trace | None = None
        self._pending = 0
        self._traces: dict[Place, _Trace] = {}
        self._announcements: dict[Place, _Announcement] = {}
        self._watched: dict[View, list[_Announcement]] = {}

    def flush(self) -> None:
        """Send the spans that have ended, for two seconds at most."""
        self._exporter.flush()

    def stop(self) -> None:
        """Send the spans that have ended, for two seconds at most, and end."""
        self._exporter.stop()

    # From the request to the receipt.

    def serve(self, request: Exchange, serve: Callable[[Exchange], None]) -> None:
        """Serve a push, and trace it if it is sampled."""
        parent = read_trace_parent(request.header("traceparent"))
        if parent.is_sampled if parent is not None else self._chance() < self._ratio:
            self._current = _Trace(parent, self._now())
        try:
            serve(request)
        finally:
            self._current = None

    def append(self, engine: IAppend, account: Account, draft: Draft) -> Receipt | Deferred[Receipt]:
        """Give a draft to the engine. See `IEngine.append`."""
        trace, self._current = self._current, None
        if trace is None:
            return engine.append(account, draft)
        self._accept(trace, account, draft)
        self._pending += 1
        try:
            appended = engine.append(account, draft)
        except Refused as refused:
            self._refuse(trace, refused)
            raise
        channel = account.api_key, draft.identifier.folded
        if isinstance(appended, Receipt):
            return self._keep(appended, trace, channel)
        return appended.addCallbacks(self._keep, self._not_kept, (trace, channel), errbackArgs=(trace,))

    def _accept(self, trace: _Trace, account: Account, draft: Draft) -> None:
        trace.accepted = self._now()
        attributes: dict[str, str | int | bool] = {
            "cometify.api_key": account.api_key,
            "cometify.identifier": draft.identifier.folded,
            "cometify.secret": draft.secret,
            "cometify.bytes": draft.size,
        }
        trace.span = self._exporter.begin("push", trace.began, trace.parent, attributes)
        self._exporter.add("accept", trace.span, trace.began, trace.accepted)

    def _keep(self, receipt: Receipt, trace: _Trace, channel: Channel) -> Receipt:
        now, place = self._now(), (channel[0], receipt.position)
        trace.span.set_attribute("cometify.position", receipt.position)
        trace.span.set_attribute("cometify.duplicate", receipt.duplicate)
        self._exporter.add("keep", trace.span, trace.accepted, now)
        trace.span.end(now)
        self._pending -= 1
        if receipt.duplicate:
            pass  # it was announced long ago
        elif (announcement := self._announcements.pop(place, None)) is not None:
            announcement.trace = trace
            self._tell(announcement)
        elif self._views(channel):  # a node announces only what somebody listens to
            self._traces[place] = trace
            if len(self._traces) > MOST_WATCHED:
                del self._traces[next(iter(self._traces))]
        if not self._pending:
            self._announcements.clear()  # they were of pushes that nobody traces
        return receipt

    def _not_kept(self, failure: Failure, trace: _Trace) -> Failure:
        self._refuse(trace, failure.value)
        return failure

    def _refuse(self, trace: _Trace, error: BaseException | None) -> None:
        self._pending -= 1
        code = error.code.name if isinstance(error, Refused) else type(error).__name__
        self._exporter.fail(trace.span, code)
        trace.span.end(self._now())

    # From the announcement to the last listener.

    def announce(self, announce: IAnnounce, ring: RingBuffer, push: Push) -> None:
        """Announce a push. See `IAnnounce`."""
        announce(ring, push)
        if not (self._pending or self._traces):
            return
        place = ring.channel[0], push.position
        trace = self._traces.pop(place, None)
        if trace is None and not self._pending:
            return
        seen = self._views(ring.channel)
        views = {view for view, secret in seen.items() if (secret or not push.secret) and view.live}
        if len(seen) > MOST_VIEWS:
            views = set()
        announcement = _Announcement(push.position, self._now(), views, trace)
        if trace is None:
            self._announcements[place] = announcement
            if len(self._announcements) > MOST_WATCHED:
                del self._announcements[next(iter(self._announcements))]
        for view in views:
            self._watched.setdefault(view, []).append(announcement)
        while len(self._watched) > MOST_WATCHED + MOST_VIEWS:
            del self._watched[next(iter(self._watched))]
        self._tell(announcement)

    def written(self, view: View, deliveries: int, *, is_over: bool) -> None:
        """See `IDeliveryTrace`."""
        watched = self._watched.get(view) if self._watched else None
        if watched is None:
            return
        now, left = self._now(), []
        for announcement in watched:
            if view.head < announcement.position:  # the view has not heard of it yet
                left.append(announcement)
                continue
            if deliveries:
                announcement.first = announcement.first or now
                announcement.last = now
            if is_over:
                announcement.views.discard(view)
                self._tell(announcement)
            else:
                left.append(announcement)
        if left:
            self._watched[view] = left
        else:
            del self._watched[view]

    def _tell(self, announcement: _Announcement) -> None:
        """Make the spans of an announcement, once its trace is known and its listeners have been written to."""
        trace = announcement.trace
        if trace is None or announcement.views:
            return
        self._exporter.add("announce", trace.span, trace.accepted, announcement.at)
        if announcement.first is not None and announcement.last is not None:
            self._exporter.add("write first", trace.span, announcement.at, announcement.first)
            self._exporter.add("write last", trace.span, announcement.at, announcement.last)


class _TracedEngine:
    """The part of an engine that a push endpoint uses, with traces."""

    def __init__(self, engine: IAppend, traces: PushTraces) -> None:
        self._engine = engine
        self._traces = traces

    def append(self, account: Account, draft: Draft) -> Receipt | Deferred[Receipt]:
        """See `IEngine.append`."""
        return self._traces.append(self._engine, account, draft)


class TracedPushEndpoint(PushEndpoint):
    """A push endpoint whose pushes are traced."""

    def __init__(
        self, traces: PushTraces, engine: IAppend, registry: Registry, publishers: Publishers, usage: Usage
    ) -> None:
        super().__init__(_TracedEngine(engine, traces), registry, publishers, usage)
        self._traces = traces

    def serve(self, request: Exchange) -> None:
        self._traces.serve(request, super().serve)


def make_traces(url: str | None, ratio: float, fan_out: FanOut, registry: Registry) -> PushTraces | None:
    """Make the traces of a server, and have its fan-out watched. Returns None if there is no collector."""
    if url is None:
        return None
    traces = PushTraces(Exporter(url), ratio, registry.views)
    fan_out.trace = traces
    return traces
