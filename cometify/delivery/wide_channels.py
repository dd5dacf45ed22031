"""Announcements to channels with very many views.

There are many views if each page listens to a channel and to an identifier of its own. To raise the heads of 10,000 views
takes 10 to 20 ms. So a channel with more than `VIEWS` of them is gone through in steps. `core/late_views.py` explains the
state of a view whose turn has not come.

One pass at a time
------------------
A pass raises each view to the newest push that the ring has at that moment, so it serves any number of pushes. At most one
pass of a channel is under way. A push that comes meanwhile only asks for another one:

    turn        1            2               3             4             5
    reads       push 1       -               push 2        -             -
    pass        views 1-500  views 501-1000  1001-1200     views 1-500   views 501-1200
    raised to   1            1               2             2             2

So the work that waits does not grow, however fast pushes come.

Order
-----
`View.advance` assumes that its push is the only one above the head. The span is then that push alone, which saves 3 us for
each view. If two pushes of different channels are above a head, a listener would get the second one alone. So if a push
is announced while some view is late, all heads are raised by `View.rise` from then on, those of small channels too. It has the
spans made from the rings, with all pushes in the order of their positions.
"""

from collections.abc import Callable, Mapping
from functools import partial

import attrs

from cometify.core.late_views import LateViews
from cometify.core.push import Push
from cometify.core.ring import Channel, RingBuffer
from cometify.core.view import View
from cometify.runtime.epoll_loop import CallSoon
from cometify.runtime.slices import SlicedWork

VIEWS = 500
"""Views whose heads are raised in one step, at 1 to 2 us each."""

_Views = Mapping[View, bool]
"""The views of a channel, and whether each sees its secret pushes."""


@attrs.define(eq=False)
class _Pass:
    """A pass over the views of a channel. `tells_loss`: the ring has lost pushes. `following`: the pass after this one."""

    ring: RingBuffer
    views: _Views
    tells_loss: bool
    following: "_Pass | None" = None


class WideChannels:
    """`wake`: see `FanOut`. `late`: the one that all views share. `most`: the most views that are raised in one step."""

    def __init__(self, wake: Callable[[View], None], late: LateViews, call_soon: CallSoon, most: int) -> None:
        self._wake = wake
        self._late = late
        self._most = most
        self._work: SlicedWork[View] = SlicedWork(call_soon, _in_words, most)
        self._passes: dict[Channel, _Pass] = {}
        # The push of the pass that is under way, if nothing else was announced since the pass began.
        self._only: Push | None = None

    def announce(self, ring: RingBuffer, views: _Views, push: Push | None = None) -> None:
        """Raise the heads of `views` to what the ring has, in steps if there are many of them.

        `views`: all views of the ring's channel, also those that come and go later. `push`: the newest one, or None if
        the ring has lost pushes.
        """
        tells_loss = push is None
        self._only = None if self._late.exist else push
        under_way = self._passes.get(ring.channel)
        if under_way is not None:
            following = under_way.following
            lost = tells_loss or (following is not None and following.tells_loss)
            # The ring and the views are new ones if all listeners have left the channel since the pass began.
            under_way.following = _Pass(ring, views, lost)
        elif len(views) > self._most:
            self._late.exist = True
            self._begin(_Pass(ring, views, tells_loss))
        else:
            raise_head = self._begin_step(_Pass(ring, views, tells_loss))
            for view in views:
                raise_head(view)

    def _begin(self, new: _Pass) -> None:
        self._passes[new.ring.channel] = new
        self._work.add(
            "Raising the head",
            new.views,
            partial(self._begin_step, new),
            at_once=True,
            done=partial(self._done, new),
        )

    def _begin_step(self, under_way: _Pass) -> Callable[[View], None]:
        ring, sees_secret, tells_loss = under_way.ring, under_way.views.get, under_way.tells_loss
        newest = ring.newest(secret=False), ring.newest(secret=True)
        only, wake = self._only, self._wake

        def raise_head(view: View) -> None:
            secret = sees_secret(view)
            if secret is None:
                return  # its last listener has left since
            if newest[secret] > view.head or tells_loss:
                if only is None:
                    view.rise(newest[secret])
                else:
                    view.advance(only)
                wake(view)

        return raise_head

    def _done(self, over: _Pass) -> None:
        del self._passes[over.ring.channel]
        if over.following is not None:
            self._begin(over.following)
        elif not self._passes:
            self._late.exist = False


def _in_words(view: View) -> str:
    return f"a view of account {view.account}"
