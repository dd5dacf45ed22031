"""Late views: whether a head is below what the rings have, and what is not promised until it is raised."""

import json

import pytest

from cometify.core.encodings import STREAM_UNCHUNKED
from cometify.core.late_views import LateViews
from cometify.core.push import Push
from cometify.core.ring import RingBuffer
from cometify.core.view import View

WATERMARK = 99


@pytest.fixture
def view():
    """A view of two identifiers, with the secret pushes of the second one."""
    rings = [RingBuffer.beginning_at(("37282591", name), 5) for name in ("chat", "news")]
    late = LateViews()
    late.exist = True
    return View((STREAM_UNCHUNKED, ()), ((rings[0], False), (rings[1], True)), 5, lambda: WATERMARK, late)


def keep(view, position, *, ring=0, secret=False):
    """Put a push into a ring without announcing it to the view."""
    kept = view.sources[ring][0]
    kept.of(secret).append(Push(kept.channel[1], None, secret, position, b'{"position":%d}' % position), 10, 10**6)


def test_view_is_late_until_its_head_is_at_the_newest_push(view):
    assert not view.is_late
    keep(view, 7, ring=1, secret=True)
    assert view.is_late
    view.rise(view.newest)
    assert (view.head, view.is_late) == (7, False)


def test_push_that_the_view_may_not_see_makes_it_not_late(view):
    keep(view, 7, ring=0, secret=True)
    assert not view.is_late


def test_loss_makes_a_view_late(view):
    view.sources[0][0].lose(8)
    assert (view.is_late, view.newest) == (True, 8)


def test_nothing_is_late_while_no_pass_is_under_way(view):
    keep(view, 7)
    view.late.exist = False
    assert not view.is_late


def test_rising_forgets_spans_and_never_lowers_the_head(view):
    assert view.span(5).data == b""
    keep(view, 7)
    view.rise(6)
    assert json.loads(view.span(5).data) == {"position": 7}
    view.rise(3)
    assert view.head == 6


@pytest.mark.parametrize(("is_raised", "told"), [(False, 5), (True, WATERMARK)])
def test_replay_at_a_stale_head_does_not_tell_the_watermark(view, is_raised, told):
    keep(view, 7)
    if is_raised:
        view.rise(7)
    cursor = 7 if is_raised else 5
    assert view.replay(cursor, b"", replaying=True).told == told
