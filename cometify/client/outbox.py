"""Pushes that are committed together with the change that they tell of: a table of pushes that are still to be made.

    with connection:  # one transaction: both rows are committed, or neither is
        connection.execute("INSERT INTO orders (id) VALUES (7)")
        outbox.add(connection, "orders", data={"id": 7})

`cometify relay DATABASE_URL` sends the rows. docs/outbox.md explains the whole.
"""

import secrets

from .outbox_executors import run
from .outbox_rows import columns
from .outbox_tables import DIALECTS, TABLE, statements
from .pushes import ABSENT

__all__ = ["DIALECTS", "TABLE", "add", "create_table", "statements"]


def add(
    executor: object,
    identifier: str,
    content: object = ABSENT,
    *,
    data: object = ABSENT,
    secret: bool = False,
    event: str | None = None,
    except_: str | None = None,
) -> int:
    """Write a push into the outbox, in the transaction of the caller. Returns the id of the row, which is its push_id.

    `executor`: a DB-API cursor or connection, a connection or cursor of Django, or a Session or Connection of SQLAlchemy.
    See `Push` for the other arguments. `content` and `data`: exactly one of them.

    Nothing is committed here. Raises `CometifyError` if the server would refuse the push, and TypeError for an executor of
    another kind.
    """
    given = {"idempotency_key": secrets.token_hex(16), **columns(identifier, content, data, secret, event, except_)}
    with run(executor) as runner:
        return runner.insert(TABLE, given)


def create_table(executor: object, dialect: str | None = None) -> None:
    """Create the table of the outbox if it does not exist.

    `dialect`: postgresql, mysql or sqlite. It is found by itself for the drivers that docs/outbox.md names.
    """
    with run(executor, dialect) as runner:
        for statement in statements(runner.dialect):
            runner.execute(statement)
