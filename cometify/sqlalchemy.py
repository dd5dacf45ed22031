"""SQLAlchemy: pushes that are sent once the transaction of a session has committed.

    from cometify.sqlalchemy import push_after_commit

    with Session.begin() as session:
        session.add(order)
        push_after_commit(session, "orders", {"id": order.id})

The pushes of a transaction are kept at its innermost savepoint. A savepoint that is released hands them to the one around it,
and the end of the outermost transaction sends them. A rollback forgets them. They are sent when the connection to the
database is back in its pool, so a push server that is slow holds no connection.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, Unpack
from weakref import WeakKeyDictionary

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction, scoped_session

from cometify.client import ABSENT, Cometify, Push
from cometify.client.pushes import PushOptions
from cometify.integration.after_commit import checked, send

__all__ = ["batch_after_commit", "push_after_commit"]


class _Pending:
    """The pushes of one transaction or savepoint. `client`: sends them. `is_committed`: the transaction has committed."""

    def __init__(self) -> None:
        self.pushes: list[tuple[Cometify, Push]] = []
        self.is_committed = False


_pending: WeakKeyDictionary[SessionTransaction, _Pending] = WeakKeyDictionary()


def push_after_commit(
    session: Session | scoped_session[Any],
    identifier: str,
    content: object = ABSENT,
    *,
    client: Cometify | None = None,
    **options: Unpack[PushOptions],
) -> None:
    """Push to one identifier after the commit, at most once. A rollback forgets it. See `Push` for the other arguments.

    `client`: the client that sends. By default the one that the session has as `info["cometify"]`, or else one of the
    environment variable COMETIFY_URL. Raises `CometifyError` if the push cannot be sent. A failure after the commit is logged.
    """
    batch_after_commit(session, [Push(identifier, content, **options)], client=client)


def batch_after_commit(
    session: Session | scoped_session[Any], pushes: Iterable[Push], *, client: Cometify | None = None
) -> None:
    """Push all of these after the commit. See `push_after_commit`. The pushes of one transaction share their requests."""
    real = session() if isinstance(session, scoped_session) else session
    if not isinstance(real, Session):
        raise TypeError(
            f"A {type(real).__name__} is no Session. With an AsyncSession, push after `await session.commit()`, or add the "
            "push to the outbox with `await session.run_sync(outbox.add, …)`."
        )
    sender = client or real.info.get("cometify") or _client_of_environment()
    kept = _pending.setdefault(_current(real) or real.begin(), _Pending())
    kept.pushes += [(sender, push) for push in checked(pushes)]


@cache
def _client_of_environment() -> Cometify:
    return Cometify.from_url()


def _current(session: Session) -> SessionTransaction | None:
    """The innermost savepoint, or the transaction."""
    return session.get_nested_transaction() or session.get_transaction()


@event.listens_for(Session, "after_commit")
def _note_commit(session: Session) -> None:
    """Note that a transaction has committed, or that a savepoint is released."""
    current = _current(session)
    if current is not None and current in _pending:
        _pending[current].is_committed = True


@event.listens_for(Session, "after_transaction_end")
def _end(_session: Session, transaction: SessionTransaction) -> None:
    """Send the pushes of a transaction, hand those of a savepoint to the one around it, or forget them."""
    ended = _pending.pop(transaction, None)
    if ended is None or not ended.is_committed:
        return
    around = transaction.parent
    while around is not None and not around.nested and around.parent is not None:
        around = around.parent  # a flush has a transaction of its own
    if around is not None:
        _pending.setdefault(around, _Pending()).pushes += ended.pushes
        return
    senders = {id(client): client for client, _push in ended.pushes}
    for client in senders.values():
        send(client, [push for sender, push in ended.pushes if sender is client])
