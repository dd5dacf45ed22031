"""The cursor of a listener, its backlog, and the way to the head."""

import json

import pytest

from cometify.core.backlog import Backlog
from cometify.core.encodings import POLL, STREAM_UNCHUNKED
from cometify.core.errors import DRAINING, Refused
from cometify.core.frames import gap_frame
from cometify.core.group_filter import GroupFilter, settled
from cometify.core.listener import Listener
from cometify.core.listener_state import Event, State
from cometify.core.push import Push
from cometify.core.ring import RingBuffer
from cometify.core.view import SCAN, View
from tests.fakes import Peer

SEES_ALL = (("chat", True), ("metrics", False))


@pytest.fixture
def view():
    sources = tuple((RingBuffer.beginning_at(("37282591", name), 0), secret) for name, secret in SEES_ALL)
    return View((STREAM_UNCHUNKED, ()), sources, 0, lambda: 99)


def add(view, position, *, number=0, secret=False, push_id=None, most=1000):
    ring, seen = view.sources[number]
    push = Push(ring.channel[1], push_id, secret, position, b'{"position":%d}' % position)
    ring.of(secret).append(push, most, 10**6)
    if seen or not secret:
        view.advance(push)
    return push


def test_log_names_a_listener_by_its_encoding():
    assert Peer().in_words() == "a listener on stream"


def frames(span):
    return [json.loads(line) for line in span.data.splitlines()]


def gap(*names):
    return json.loads(gap_frame(names))


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("offer", (b"x",)),
        ("hold", (b"x",)),
        ("unread", ()),
        ("beat", (b"x",)),
        ("end", (Refused(DRAINING, "later"),)),
        ("drain", (1,)),
        ("preface", (b"x",)),
    ],
)
def test_transport_must_add_the_writing(method, arguments):
    with pytest.raises(NotImplementedError):
        getattr(Listener(), method)(*arguments)


def test_listener_that_is_not_live_has_no_send():
    listener = Listener()
    assert listener.state is State.BEHIND
    assert listener.send is None


def test_one_group_that_lets_a_push_through_is_enough():
    push = Push("chat", 5, True, 10, b"x")
    assert Peer().wants(push)
    assert Peer(filters={"chat": (GroupFilter(False), GroupFilter(True, 4))}).wants(push)
    assert not Peer(filters={"chat": (GroupFilter(False), GroupFilter(True, 5))}).wants(push)
    assert Listener.unfiltered(secret=True)(push)
    assert not Listener.unfiltered(secret=False)(push)


def test_listener_knows_whether_a_group_has_an_internal_id():
    assert not Peer().has_internal_id
    assert not Peer(filters={"chat": (GroupFilter(True),)}).has_internal_id
    assert Peer(
        filters={"chat": (GroupFilter(True),), "metrics": (GroupFilter(False), GroupFilter(False, 0))}
    ).has_internal_id


def test_listener_behind_shares_the_span_of_its_view(view):
    add(view, 1)
    assert Peer(view).owed() is Peer(view).owed() is view.span(0)


def test_filter_keeps_pushes_out_of_the_next_write(view):
    for push_id in (1, 2, 3):
        add(view, push_id, push_id=push_id)
    listener = Peer(view, {"chat": (GroupFilter(True, 1),), "metrics": (GroupFilter(False),)})
    assert frames(listener.owed()) == [{"position": 2}, {"position": 3}]


def test_loss_is_told_once_and_before_newer_pushes(view):
    add(view, 1)
    add(view, 2, most=1)
    listener = Peer(view)
    span = listener.owed()
    assert frames(span) == [gap("chat"), {"position": 2}]
    assert listener.took(span, 0) == span.data[: span.preamble], "it counts as told, so it is held"
    assert frames(listener.owed()) == [{"position": 2}]
    add(view, 3, most=1)
    assert frames(listener.owed()) == [gap("chat"), {"position": 3}]


class Poller(Peer):
    """A listener that ends after its first write."""

    encoding = POLL


@pytest.mark.parametrize("count", [SCAN - 1, SCAN, SCAN + 1, 2 * SCAN + 1])
@pytest.mark.parametrize("wanted", [False, True])
def test_only_write_of_a_listener_tells_a_position(view, count, wanted):
    poll_view = View((POLL, ()), view.sources, 0, lambda: 9_999)
    for position in range(1, count + 3):
        add(poll_view, position, push_id=position, most=count + 1)
    listener = Poller(poll_view, {"chat": (GroupFilter(True, count + 1 if wanted else count + 2),)})
    listener.backlog = Backlog(replaying=True)
    while not (span := listener.owed()).size:
        listener.took(span, 0)
    assert span.cursor == count + 2
    told, *rest = frames(span)
    assert told == gap("chat")
    assert ({"position": count + 2} in rest) == wanted
    assert wanted or rest == [{"type": "heartbeat", "position": 9_999}]


@pytest.mark.parametrize(("number", "names"), [(0, ["chat"]), (1, [])])
def test_loss_of_a_secret_push_needs_a_key(view, number, names):
    add(view, 1, number=number, secret=True)
    add(view, 2, number=number, secret=True, most=1)
    add(view, 3, number=number, most=1)
    expected = [gap(*names), {"position": 2}] if names else []
    assert frames(Peer(view).owed()) == [*expected, {"position": 3}]


def test_loss_that_was_told_is_not_told_again(view):
    add(view, 1)
    add(view, 2, secret=True)
    add(view, 3, most=1)
    add(view, 4, secret=True, most=1)
    for told, again in [((1, 2), False), ((1, 1), True), ((0, 2), True)]:
        listener = Peer(view)
        listener.backlog = Backlog(told={"chat": told})
        assert frames(listener.owed()) == [*([gap("chat")] if again else []), {"position": 3}, {"position": 4}]
        assert listener.backlog.told == {"chat": (1, 2)}


def test_loss_of_unwanted_pushes_is_not_told(view):
    add(view, 1)
    add(view, 2, secret=True)
    add(view, 3, most=1)
    add(view, 4, secret=True, most=1)
    for unwanted, is_told in [((1, 2), False), ((1, 1), True), ((0, 2), True)]:
        listener = Peer(view)
        listener.backlog = Backlog(unwanted={"chat": unwanted})
        assert frames(listener.owed()) == [*([gap("chat")] if is_told else []), {"position": 3}, {"position": 4}]
        assert listener.backlog.told == ({"chat": (1, 2)} if is_told else {})


def test_loss_of_the_plan_is_in_one_gap_after_the_preamble(view):
    add(view, 1)
    add(view, 2, most=1)
    listener = Peer(view)
    listener.backlog = Backlog(preamble=b'"ready"\n', lost={"metrics"}, replaying=True)
    span = listener.owed()
    assert frames(span) == ["ready", gap("chat", "metrics"), {"position": 2}, {"type": "heartbeat", "position": 99}]
    assert listener.backlog.lost == set()


def test_duties_of_the_backlog_keep_a_listener_from_the_head(view):
    listener = Peer(view)
    assert listener.has_everything
    for backlog in (Backlog(preamble=b"x"), Backlog(lost={"chat"}), Backlog(replaying=True)):
        listener.backlog = backlog
        assert not listener.has_everything
    listener.backlog = Backlog()
    assert listener.has_everything
    add(view, 1)
    assert not listener.has_everything


@pytest.mark.parametrize(("beyond", "replaying"), [(0, True), (1, False)])
def test_replay_is_over_once_its_heartbeat_is_begun(view, beyond, replaying):
    add(view, 1)
    listener = Peer(view)
    listener.backlog = Backlog(replaying=True)
    span = listener.owed()
    rest = listener.took(span, span.heartbeat + beyond)
    assert listener.backlog.replaying is replaying
    assert rest == (span.data[span.heartbeat + 1 :] if beyond else b"")


def test_positions_in_filters_are_forgotten_at_the_head(view):
    add(view, 1)
    listener = Peer(
        view, {"chat": (GroupFilter(True, -1, 1, 1),), "metrics": (GroupFilter(False, -1, 5), GroupFilter(False, 3))}
    )
    listener.backlog = Backlog()
    listener.go_live()
    assert (listener.state, listener.cursor, listener.backlog) == (State.LIVE, 1, None)
    assert (listener.filters, view.filtered.count, listener in view.live) == (None, 0, True)
    assert listener.send is len


@pytest.mark.parametrize(
    "filters",
    [
        {"chat": (GroupFilter(True, 3, 1, 1),), "metrics": (GroupFilter(False, -1, 1, 1),)},
        {"chat": (GroupFilter(False, -1, 1, 1), GroupFilter(True, 3)), "metrics": (GroupFilter(False),)},
    ],
)
def test_filter_by_internal_id_is_kept_at_the_head(view, filters):
    listener = Peer(view, filters)
    listener.go_live()
    assert listener.filters == {name: settled(wants) for name, wants in filters.items()}
    assert view.filtered.count == 1


def test_listener_without_filters_goes_live(view):
    listener = Peer(view)
    listener.go_live()
    assert listener.filters is None
    assert listener in view.live


def test_cut_write_goes_on_after_the_begun_frame(view):
    add(view, 1)
    add(view, 2)
    listener = Peer(view)
    span = listener.owed()
    assert listener.took(span, 1) == span.data[1 : span.ends[0][0]]
    assert (listener.cursor, listener.backlog) == (1, None)
    assert frames(listener.owed()) == [{"position": 2}]
    assert listener.took(listener.owed(), listener.owed().size) == b""
    assert listener.has_everything


# The timelines of "Theory of operation" in core/listener.py, with their numbers.


def timeline(kept, head, watermark, secret=True):
    """A view of "chat" with pushes at the positions `kept`. A negative one is secret."""
    ring = RingBuffer.beginning_at(("37282591", "chat"), 0)
    view = View((STREAM_UNCHUNKED, ()), ((ring, secret),), 0, lambda: watermark)
    for position in kept:
        push_at(view, position)
    assert view.head == head
    return view


def push_at(view, position, most=1000):
    return add(view, abs(position), secret=position < 0, most=most)


def told(span):
    return [frame if isinstance(frame, str) else frame.get("position", frame.get("type")) for frame in frames(span)]


def test_timeline_a_join_replay_live():
    view = timeline([90, 110, 120], head=120, watermark=125)
    listener = Peer(view, cursor=100)
    listener.backlog = Backlog(preamble=b'"ready"\n', replaying=True)
    span = listener.owed()
    assert told(span) == ["ready", 110, 120, 125]
    assert listener.took(span, span.size) == b""
    assert (listener.cursor, listener.has_everything) == (120, True)
    listener.go_live()
    assert (listener.state, listener.backlog, listener.cursor) == (State.LIVE, None, 120)
    assert listener.sent_up_to == listener.reached == 125
    push_at(view, 130)
    span = view.span(listener.cursor)
    assert (told(span), span.cursor) == ([130], 130)


def test_timeline_b_slow_reader():
    view = timeline([130], head=130, watermark=130)
    listener = Peer(view, cursor=130)
    listener.go_live()
    for position in (140, 150):
        push_at(view, position, most=3)
    span = view.span(listener.cursor)
    assert listener.took(span, span.ends[0][0] + 3) == span.data[span.ends[0][0] + 3 :]
    listener.transition(Event.BLOCKED)
    assert (listener.state, listener.cursor) == (State.STALLED, 150)
    for position in (160, 170, 180, 190):
        push_at(view, position, most=3)
    assert view.sources[0][0].public.floor == 160
    listener.transition(Event.WRITABLE)
    span = listener.owed()
    assert told(span) == ["gap", 170, 180, 190]
    assert listener.took(span, 3) == span.data[3 : span.preamble]
    assert (listener.cursor, listener.backlog.told) == (150, {"chat": (160, 0)})
    span = listener.owed()
    assert told(span) == [170, 180, 190]
    listener.took(span, span.size)
    listener.go_live()
    assert (listener.state, listener.cursor) == (State.LIVE, 190)


def test_short_write_leaves_the_rest_of_a_frame_to_the_transport():
    view = timeline([130], head=130, watermark=130)
    listener = Peer(view, cursor=130)
    held = []
    listener.hold = held.append
    listener.go_live()
    push_at(view, 140)
    span = view.span(listener.cursor)
    listener.cut_short(span, 3)
    assert (listener.state, listener.cursor) == (State.STALLED, 140)
    assert held == [span.data[3:]]


@pytest.mark.parametrize(("secret", "expected"), [(False, [210, 220]), (True, ["gap", 205, 210, 215, 220])])
def test_timeline_c_gap_betrays_no_secret_push(secret, expected):
    view = timeline([180], head=180, watermark=220, secret=secret)
    for position in (-202, -205, 210, -215, 220):
        push_at(view, position, most=2)
    ring = view.sources[0][0]
    assert (ring.public.floor, ring.secret.floor) == (180, 202)
    listener = Peer(view, cursor=200)
    assert told(listener.owed()) == expected


def test_listener_that_goes_live_is_sent_to_by_its_offer():
    listener = Listener()
    assert listener.send is None
    listener.wake()
    assert listener.send == listener.offer


def with_excluded(view, position, excluded="myself01"):
    ring, _seen = view.sources[0]
    push = Push(ring.channel[1], None, False, position, b'{"position":%d}' % position, None, excluded)
    ring.public.append(push, 1000, 10**6)
    view.advance(push)
    return push


def named(view, name, *, preamble=None, cursor=0):
    listener = Peer(view, cursor=cursor)
    listener.id = name
    if preamble is not None:
        listener.backlog = Backlog(preamble=preamble, replaying=True)
    return listener


@pytest.mark.parametrize("preamble", [None, b'{"ready":1}\n'])
def test_listener_is_owed_no_push_that_excludes_it(view, preamble):
    add(view, 10)
    with_excluded(view, 20)
    add(view, 30)
    for _ in range(2):  # the span of the view is made first for the one, and then for the other
        for name, seen in (("another1", [10, 20, 30]), ("myself01", [10, 30])):
            listener = named(view, name, preamble=preamble)
            span = listener.owed()
            assert [frame["position"] for frame in frames(span) if frame.keys() == {"position"}] == seen
            assert span.cursor == 30
            listener.took(span, span.size)
            assert listener.has_everything


@pytest.mark.parametrize("name", ["another1", "myself01"])
def test_gap_before_a_push_that_excludes_a_listener(view, name):
    with_excluded(view, 30)
    for position in (40, 50):
        add(view, position, number=1, most=1)  # the gap is above the push
    span = named(view, name, preamble=b"").owed()
    told, *rest = frames(span)
    assert told == gap("metrics")
    assert ({"position": 30} in rest) == (name == "another1")
    assert {"position": 50} in rest


def test_excluded_listener_above_the_push_shares_the_span(view):
    with_excluded(view, 10)
    add(view, 20)
    listener = named(view, "myself01", cursor=10)
    assert listener.owed() is view.span(10)
    assert not view.span(10).excluded
    assert view.span(0).excluded == {"myself01"}


def test_only_listeners_that_are_named_are_unwilling(view):
    add(view, 10, push_id=3)
    with_excluded(view, 20)
    peers = [named(view, name) for name in ("myself01", "another1", "", "myself01")]
    peers[3].cursor = 20
    filtering = Peer(view, {"chat": (GroupFilter(True, 5),), "metrics": (GroupFilter(False),)})
    assert view.unwilling(view.span(0), 0, [*peers, filtering]) == [filtering, peers[0]]
