"""Pushes that are sent once the transaction of the database has committed.

Each of them is made at most once. If the process ends after the commit, or if the push server cannot be reached in time, the
push is not made. The outbox (`cometify.client.outbox`) makes sure that it is.
"""

import logging
from collections.abc import Iterable, Sequence
from itertools import islice

from cometify.client import Cometify, CometifyError, Push
from cometify.client.pushes import MAX_BATCH

_log = logging.getLogger(__name__)


def checked(pushes: Iterable[Push]) -> list[Push]:
    """Return the pushes as they are now. Raises `CometifyError` for one that cannot be sent, so that nothing commits."""
    return [push.checked() for push in pushes]


def send(client: Cometify, pushes: Sequence[Push]) -> None:
    """Send pushes in requests of up to 100, each all or none.

    A failure is logged and not raised, because the transaction has committed. Further requests are not sent then: each could
    take the time of the client again.
    """
    rest = iter(pushes)
    sent = 0
    while batch := list(islice(rest, MAX_BATCH)):
        try:
            if len(batch) == 1:
                _send_one(client, batch[0])
            else:
                client.batch(batch)
        except CometifyError as error:
            names = ", ".join(sorted({push.identifier for push in pushes[sent:]}))
            _log.error("%d pushes after a commit failed (%s): %s", len(pushes) - sent, names, error)
            return
        sent += len(batch)


def _send_one(client: Cometify, push: Push) -> None:
    client.push(
        push.identifier,
        push.content,
        data=push.data,
        secret=push.secret,
        push_id=push.push_id,
        event=push.event,
        except_=push.except_,
    )
