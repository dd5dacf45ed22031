"""Spans: the bytes from a cursor to the head, shared by all listeners there, and writes that stop at any byte."""

import sys
from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from cometify.core.backlog import Backlog
from cometify.core.encodings import EDGE_POLL, EVENTS, POLL, STREAM, WEBSOCKET, WEBSOCKET_DEFLATED
from cometify.core.frames import heartbeat_frame
from cometify.core.group_filter import GroupFilter
from cometify.core.position import EDGE_STEP, edge_position
from cometify.core.push import Push
from cometify.core.ring import RingBuffer
from cometify.core.view import SCAN, SPAN, SPANS, View
from tests.fakes import Peer

MARK = 10**6


def make_view(encoding=WEBSOCKET, secret=(True,), mark=lambda: MARK):
    rings = [RingBuffer.beginning_at(("37282591", f"name{number}"), 0) for number in range(len(secret))]
    sources = tuple(zip(rings, secret, strict=True))
    return View((encoding, tuple((ring.channel, one) for ring, one in sources)), sources, 0, mark)


def add(view, position, *, text=b"x", secret=False, push_id=None, number=0, most=10**6, excluded=None):
    ring, seen = view.sources[number]
    push = Push(ring.channel[1], push_id, secret, position, b"{%d:%b}" % (position, text), excluded=excluded)
    ring.of(push.secret).append(push, most, 10**9)
    if seen or not secret:
        view.advance(push)
    return push


def encoded(view, pushes):
    return b"".join(view.encoding.encode_push(push) for push in pushes)


pushes = st.lists(
    st.tuples(
        st.integers(1, 3),  # how far above the one before
        st.sampled_from([b"", b"x", b"\xc3\xa4" * 70, b"<{again}>" * 40]),
        st.booleans(),  # secret
        st.none() | st.integers(0, 3),
        st.integers(0, 1),  # the ring
    ),
    max_size=5,
)


@given(
    st.sampled_from([WEBSOCKET, WEBSOCKET_DEFLATED, STREAM, EVENTS]),
    pushes,
    st.sampled_from([(True, True), (False, True), (False, False)]),
    st.sampled_from([b"", b"ready and gap"]),
    st.booleans(),
    st.integers(-1, 3),
    st.integers(0, 6),
)
@settings(max_examples=50)
def test_everything_is_sent_once_wherever_a_write_stops(encoding, made, secret, preamble, replaying, above, cursor):
    view = make_view(encoding, secret)
    position = 0
    for step, text, hidden, push_id, number in made:
        position += step
        add(view, position, text=text, secret=hidden, push_id=push_id, number=number)
    wants = {f"name{number}": (GroupFilter(seen, above),) for number, seen in enumerate(secret)}

    def behind():
        listener = Peer(view, wants)
        listener.cursor = cursor
        listener.backlog = Backlog(preamble=preamble, replaying=replaying)
        return listener

    whole = behind().owed()
    for sent in range(whole.size):
        listener = behind()
        rest = listener.took(listener.owed(), sent)
        again = listener.owed()
        assert whole.data[:sent] + rest + again.data == whole.data
        boundaries = {whole.preamble, whole.size, *(whole.preamble + end for end, _cursor in whole.ends)}
        if sent not in boundaries:
            assert sent + len(rest) == min(end for end in boundaries if end > sent), "no more than what was begun"
        elif sent or not preamble:
            assert rest == b""
        assert again.cursor == whole.cursor
    listener = behind()
    assert listener.took(listener.owed(), whole.size) == b""
    assert listener.has_everything
    assert listener.owed().size == 0


def test_cursors_with_the_same_pushes_above_share_a_span():
    view = make_view(secret=(True, False))
    add(view, 10, number=1)
    seen = add(view, 20)
    add(view, 30, number=1, secret=True)
    returned = []
    for cursor in (10, 12, 19):
        listener = Peer(view)
        listener.cursor = cursor
        listener.backlog = Backlog(preamble=b"ready", replaying=True)
        returned.append(listener.owed())
    heartbeat = WEBSOCKET.encode(heartbeat_frame(MARK), MARK)
    assert [span.data for span in returned] == [b"ready" + encoded(view, [seen]) + heartbeat] * 3
    assert len(view.spans) == 1
    assert {span.cursor for span in returned} == {view.head}


def test_pollers_share_a_span_behind_their_own_preambles():
    view = make_view(POLL)
    seen = add(view, 20)
    returned = []
    for preamble in (b"", b"ready\n"):
        listener = Peer(view)
        listener.cursor = 10
        listener.backlog = Backlog(preamble=preamble)
        returned.append(listener.owed())
    shared = encoded(view, [seen]) + POLL.encode(heartbeat_frame(MARK), MARK)
    assert [span.data for span in returned] == [shared, b"ready\n" + shared]
    assert [span.data[span.heartbeat :] for span in returned] == [POLL.encode(heartbeat_frame(MARK), MARK)] * 2
    assert len(view.spans) == 1


def test_listener_that_a_push_excludes_has_no_share_in_the_replay():
    view = make_view()
    add(view, 20, excluded="9f2c51d07ab34e18")
    shared = view.replay(10, b"ready", replaying=True, listener_id="another")
    assert shared.data.startswith(b"ready")
    assert view.replay(10, b"ready", replaying=True, listener_id="9f2c51d07ab34e18") is None
    assert (view.excludes_after(19), view.excludes_after(20)) == (True, False)


def test_replay_of_more_than_a_write_ends_without_a_heartbeat():
    view = make_view()
    made = [add(view, position, text=b"x" * (SPAN // 8)) for position in range(20, 30)]
    span = view.replay(10, b"ready", replaying=True)
    assert span.data == b"ready" + encoded(view, made)[: span.size - 5]
    assert (span.preamble, span.heartbeat) == (5, None)
    assert made[0].position <= span.cursor < view.head


@pytest.mark.parametrize("excluded", [None, "9f2c51d07ab34e18"])
def test_lost_push_is_replayed_to_all_unless_one_is_excluded(excluded):
    view = make_view()
    first = add(view, 20)
    _lost, last = (add(view, position, secret=True, most=1, excluded=excluded) for position in (30, 40))
    span = view.replay(10, b"gap", replaying=True)
    assert (span is None) == (excluded is not None)
    assert span is None or span.data.startswith(b"gap" + encoded(view, [first, last]))


def test_write_counts_the_pushes_that_it_has_begun():
    view = make_view()
    for position in (20, 30):
        add(view, position)
    span = view.replay(10, b"ready", replaying=True)
    one, two = span.ends[0][0], span.ends[1][0]
    assert [span.begun(5 + sent) for sent in (-1, 0, 1, one - 1, one, one + 1, two, two + 1)] == [
        0,
        0,
        1,
        1,
        1,
        2,
        2,
        2,
    ]
    assert [span.bytes_of(pushes) for pushes in (0, 1, 2)] == [0, one, two]


def test_rings_are_merged_in_order_without_unseen_pushes():
    view = make_view(secret=(True, False, True))
    made = [
        add(view, position, number=position % 3, secret=position % 2 == 0, text=b"%d" % position)
        for position in range(1, 20)
    ]
    seen = [push for push in made if not push.secret or push.identifier != "name1"]
    span = view.span(0)
    assert span.data == encoded(view, seen)
    assert span.cursor == view.head == seen[-1].position
    assert view.span(7).data == encoded(view, [push for push in seen if push.position > 7])


def test_listeners_at_one_cursor_share_bytes_until_a_push():
    view = make_view()
    add(view, 1)
    span = view.span(0)
    assert view.span(0) is span
    add(view, 2)
    assert view.span(0).data != span.data


@given(
    st.sampled_from([WEBSOCKET, WEBSOCKET_DEFLATED, STREAM, EVENTS, POLL]),
    pushes,
    st.sampled_from([(True,), (False,), (True, True), (False, True), (False, False)]),
    st.integers(0, 20),
    st.sampled_from([1, 10**6]),
)
def test_span_has_the_pushes_above_its_cursor_of_the_moment(encoding, made, secret, cursor, most):
    view = make_view(encoding, secret)
    position = 0
    for step, text, hidden, push_id, number in made:
        position += step
        add(view, position, text=text, secret=hidden, push_id=push_id, number=number % len(secret), most=most)
        if any(ring.lost_since(seen) > cursor for ring, seen in view.sources):
            return  # a gap
        span, joined = view.span(cursor), view.join(cursor)
        assert (span.data, span.size, span.cursor, list(span.ends), span.preamble, span.heartbeat) == (
            (joined.data, joined.size, joined.cursor, joined.ends, joined.preamble, joined.heartbeat)
        )


def test_remembered_spans_stay_bounded():
    view = make_view()
    for position in range(1, 3 * SPANS):
        add(view, position)
    for cursor in range(3 * SPANS - 1):
        view.span(cursor)
        assert len(view.spans) <= SPANS
    assert view.span(0).data == view.join(0).data


def test_next_span_goes_on_where_a_full_write_ends():
    view = make_view()
    made = [add(view, position, text=b"x" * (SPAN // 3)) for position in range(1, 8)]
    cursor, data = 0, b""
    while cursor < view.head:
        span = view.span(cursor)
        assert len(span.data) == span.size <= SPAN
        assert span.cursor > cursor
        cursor, data = span.cursor, data + span.data
    assert data == encoded(view, made)


@pytest.mark.parametrize("preamble", [b"", b"ready"])
def test_frame_longer_than_a_write_goes_by_itself(preamble):
    view = make_view()
    long = [add(view, 1, text=b"x" * 2 * SPAN), add(view, 2, text=b"y" * 2 * SPAN)]
    span = view.join(0, preamble)
    assert span.data == preamble + encoded(view, long[:1])
    assert span.cursor == 1
    assert view.join(1).data == encoded(view, long[1:])


def test_long_replay_that_is_filtered_out_stays_a_slice():
    view = make_view()
    for position in range(1, SCAN + 11):
        add(view, position)
    first = view.join(0, wants=lambda push: False, replaying=True)
    assert (first.data, first.cursor, first.heartbeat) == (b"", SCAN, None)
    second = view.join(first.cursor, wants=lambda push: False, replaying=True)
    assert second.cursor == SCAN + 10
    assert second.heartbeat == 0


def replayed(listener):
    """All that a listener is owed, as it is written."""
    data = b""
    while listener.cursor < listener.view.head:
        span = listener.owed()
        listener.took(span, span.size)
        data += span.data
    return data


def calls_of(work):
    """The calls of Python's functions that a piece of work makes."""
    calls = Counter()
    before = sys.getprofile()
    sys.setprofile(lambda _frame, event, _argument: calls.update([event]))
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls["call"]


def test_look_at_a_push_takes_no_longer_with_hundreds_of_filters():
    view = make_view()
    for position in range(1, 101):
        add(view, position, push_id=1)
    costs = {}
    for many in (5, 600):
        listener = Peer(view, {"name0": tuple(GroupFilter(False, 10 + number) for number in range(many))})
        listener.backlog = Backlog()
        listener.backlog.wants(listener.filters, listener.id)  # arranges them
        costs[many] = calls_of(lambda listener=listener: replayed(listener))
    # Each filter is looked at once in a write, and not once for each of the 100 pushes.
    assert costs[600] - costs[5] < 3 * 600


@pytest.mark.parametrize("many", [1, 4, 5, 600])
def test_replay_with_many_filters_has_what_one_of_them_wants(many):
    view = make_view()
    made = [add(view, position, push_id=position) for position in range(1, 21)]
    own = add(view, 21, push_id=21, excluded="myself01")
    listener = Peer(view, {"name0": tuple(GroupFilter(False, 30 - number) for number in range(many))})
    listener.id = "myself01"
    lowest = 31 - many
    wanted = [push for push in made if push.push_id > lowest]
    assert replayed(listener).startswith(encoded(view, wanted))
    assert own.frame not in replayed(listener)
    listener.cursor, listener.filters = 0, {"name0": (GroupFilter(False, 18),) * many}
    assert replayed(listener).startswith(encoded(view, made[18:]))


def test_replay_ends_with_a_heartbeat():
    view = make_view()
    push = add(view, 1)
    span = view.join(0, replaying=True)
    assert span.data == encoded(view, [push]) + WEBSOCKET.encode(heartbeat_frame(MARK), MARK)
    assert span.heartbeat == len(encoded(view, [push]))
    assert view.join(0).heartbeat is None


def test_poll_with_pushes_ends_with_a_heartbeat():
    view = make_view(POLL)
    assert view.join(0).data == b""
    add(view, 1)
    assert view.join(0).data.endswith(POLL.encode(heartbeat_frame(MARK), MARK))


@pytest.mark.parametrize("secret", [False, True])
def test_listener_with_a_loss_has_no_share_in_the_span(secret):
    view = make_view(secret=(True,))
    add(view, 1, secret=secret)
    add(view, 2, secret=secret, most=1)
    assert view.span(0) is None
    assert view.span(0) is None
    assert view.span(1) is not None


def test_dropped_push_that_is_not_seen_is_no_loss():
    view = make_view(secret=(False,))
    add(view, 1, secret=True)
    add(view, 2, secret=True, most=1)
    assert view.sources[0][0].secret.floor == 1
    assert view.span(0) is not None


def test_span_tells_which_listeners_must_not_get_it():
    view = make_view()
    strict = Peer(view, {"name0": (GroupFilter(True, 5),)})
    lenient = Peer(view, {"name0": (GroupFilter(True, 3),)})
    plain = Peer(view)
    for position, (push_id, unwanted) in enumerate(
        [(6, []), (5, [strict]), (4, [strict]), (3, [strict, lenient]), (8, [])], 1
    ):
        before = view.head
        for peer in (strict, lenient, plain):
            peer.cursor = before
        add(view, position, push_id=push_id)
        span = view.span(before)
        assert bool(span.lowest) == bool(unwanted)
        if unwanted:
            assert view.unwilling(span, before, [strict, plain, lenient]) == unwanted
            strict.cursor = position
            assert view.unwilling(span, before, [strict, plain, lenient]) == unwanted[1:]


def test_span_of_many_pushes_is_unwanted_for_its_lowest_push_id():
    view = make_view(secret=(True, False))
    strict = Peer(view, {"name0": (GroupFilter(True, 5),)})
    for position, push_id in enumerate((9, 5, 7), 1):
        add(view, position, push_id=push_id)
    add(view, 4, push_id=1, number=1)
    add(view, 5)
    assert view.unwilling(view.span(0), 0, [strict]) == [strict]
    assert not view.span(2).lowest


def test_full_write_is_unwanted_only_for_pushes_that_it_has():
    view = make_view()
    Peer(view, {"name0": (GroupFilter(True, 5),)})
    add(view, 1, text=b"x" * (SPAN - 10), push_id=5)
    add(view, 2, text=b"x" * 100, push_id=4)
    assert view.span(0).lowest == {("name0", False): 5}


def test_view_without_filters_looks_at_no_push_id():
    view = make_view()
    Peer(view)
    add(view, 1, push_id=5)
    assert view.span(0).lowest is None


def test_full_write_holds_nothing():
    view = make_view()
    assert view.join(7).cut(0, 7) == (7, b"")
    add(view, 1)
    add(view, 2)
    span = view.join(0, b"ready")
    assert span.cut(span.size, 0) == (2, b"")


@given(st.integers(0, 3 * EDGE_STEP), st.integers(0, 3 * EDGE_STEP))
def test_edge_position_has_nothing_between_it_and_now(one, other):
    head, watermark = sorted([one, other])
    position = edge_position(watermark, head)
    assert head <= position <= watermark
    assert position == head or position % EDGE_STEP == 0
    assert edge_position(position, head) == position


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        (3, 5),  # the watermark can be below the position of a push that was just announced
        (EDGE_STEP - 1, 5),
        (EDGE_STEP, EDGE_STEP),
        (2 * EDGE_STEP + 7, 2 * EDGE_STEP),
    ],
)
def test_heartbeat_of_the_edge_tells_the_head_or_a_step(mark, told):
    view = make_view(EDGE_POLL, mark=lambda: mark)
    push = add(view, 5)
    beat = view.encoding.encode(heartbeat_frame(told), None)
    assert view.join(0).data == encoded(view, [push]) + beat
    assert view.join(told, replaying=True).data == beat
