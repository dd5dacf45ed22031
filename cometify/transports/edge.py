"""Polls that a shared cache may answer: the edge.

Theory of operation
===================

Polls that wait at one position for the same identifiers are owed the same bytes. A cache that joins identical requests in
flight therefore needs one poll at this server, the origin, for a whole audience. Three things make that work:

- The answer says that it may be shared, and for how long (`headers`).
- Listeners converge on one URL. A push does that, because all who get it go on from its position. Between two pushes
  `core.position.edge_position` does it: joins and heartbeats tell the position of the newest push, or the beginning of a step
  of some seconds. Nothing lies between that position and the moment of the answer.
- An answer without a push moves the position (`PollListener.beat`). Otherwise its listeners would ask for the same URL again,
  and a cache that keeps the answer would let them do so without a pause.

An old answer loses nothing. It tells the position up to which it is complete, and the next poll goes on from there. This holds
for a cache that is slow, that serves stale answers, or that has several servers of its own which know different answers.

    09:00:03  push at 100          everybody asks for position=100
    09:00:08  A joins              told 100, because nothing was pushed since; A asks for position=100 too
    09:00:12  B joins              told 09:00:10, the beginning of a step; B asks for position=09:00:10
    09:00:15  push at 200          both polls are answered, and both listeners ask for position=200

Nothing that depends on the client may be in such an answer, because others get it. The listeners that wait for it have neither
a key nor a listener id, so no secret push and no `except` concerns them. `is_for_everybody` has the other conditions. They are
checked again for each answer, because the account may have changed while the poll waited. Everything else, refusals too, is
`private, no-store`.
"""

from cometify.core.account import Account
from cometify.core.listen_request import ListenRequest
from cometify.core.private_names import is_private
from cometify.http.exchange import Exchange, Headers

JOINING_SECONDS = 1
"""The time for which a cache may give the answer to a poll without a position. Those who get it resume that much earlier."""
RESUMING_SECONDS = 2
"""The time for which a cache may give the answer to a poll with a position.

It must be long enough for all who waited to come once more, if their own poll was cut or came late. It must not be long,
because a listener that is behind takes one kept answer after another before it gets everything at once from the origin.
"""


def headers(*, resumes: bool) -> Headers:
    """The headers of an answer that a shared cache may give to everybody. A browser must not keep it.

    nginx caches nothing whose buffering is off, so `X-Accel-Buffering` is not among them.
    """
    seconds = RESUMING_SECONDS if resumes else JOINING_SECONDS
    return ((b"Cache-Control", b"public, max-age=0, s-maxage=%d, no-transform" % seconds),)


def is_for_everybody(account: Account, request: Exchange, listen_request: ListenRequest) -> bool:
    """Return True if the answer to a poll depends on its URL alone."""
    return (
        account.edge
        and account.origins is None
        and request.method == b"GET"
        and listen_request.listener is None
        and not listen_request.is_keyed
        and not any(is_private(account.private, name) for name in listen_request.names)
    )
