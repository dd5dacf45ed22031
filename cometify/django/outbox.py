"""The outbox: a push is committed together with the change, and `cometify relay` sends it.

with transaction.atomic():
    order = Order.objects.create(state="paid")
    outbox.add("orders", data={"id": order.id})

The migration of this app creates the table. The model `OutboxPush` is for queries.
"""

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.transaction import TransactionManagementError

from cometify.client import ABSENT
from cometify.client.outbox import add as add_row


def add(
    identifier: str,
    content: object = ABSENT,
    *,
    data: object = ABSENT,
    secret: bool = False,
    event: str | None = None,
    except_: str | None = None,
    using: str | None = None,
) -> int:
    """Write a push into the outbox, in the transaction of the caller. Returns the id of the row, which is its push_id.

    See `Push` for the arguments. `content` and `data`: exactly one of them. `using`: the database.

    Raises `CometifyError` if the server would refuse the push, and TransactionManagementError outside of a transaction.
    """
    connection = connections[using or DEFAULT_DB_ALIAS]
    if connection.get_autocommit():
        raise TransactionManagementError(
            "outbox.add needs a transaction, because the push and the change must be committed together: write both within "
            "`with transaction.atomic():`."
        )
    return add_row(connection, identifier, content, data=data, secret=secret, event=event, except_=except_)
