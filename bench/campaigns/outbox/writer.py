"""An application: commits changes, each with its push in the outbox, until it has committed its share.

Run as a process: python -m bench.campaigns.outbox.writer HOST NUMBER ROWS PAUSE. It counts its rows in the database, because
it can be killed at any moment. A change that is rolled back leaves no trace but the hole in the ids.
"""

import random
import sys
import time

import psycopg

from cometify.client import outbox

IDENTIFIERS = tuple(f"channel{number}" for number in range(8))
ROLLED_BACK = 0.1
"""The part of the transactions that are rolled back after their push was added."""
OPEN = 0.002
"""Mean seconds between the push and the commit. Transactions commit out of the order of their ids."""
BEGIN = "CREATE TABLE changes (id bigint PRIMARY KEY, writer integer NOT NULL, identifier text NOT NULL)"
"""The changes of the application, with the id of the push of each."""


def count(db: "psycopg.Connection[tuple[int]]", writer: int) -> int:
    """Count the changes that this writer has committed."""
    found = db.execute("SELECT count(*) FROM changes WHERE writer = %s", (writer,)).fetchone()
    db.commit()
    assert found is not None
    return found[0]


def change(db: "psycopg.Connection[tuple[int]]", writer: int, rng: random.Random) -> bool:
    """Make one change and its push. Returns True if it was committed."""
    identifier = rng.choice(IDENTIFIERS)
    row = outbox.add(db, identifier, f"{writer} {time.time():.6f}")
    db.execute("INSERT INTO changes VALUES (%s, %s, %s)", (row, writer, identifier))
    time.sleep(rng.expovariate(1 / OPEN))
    if rng.random() < ROLLED_BACK:
        db.rollback()
        return False
    db.commit()
    return True


def write(host: str, writer: int, rows: int, pause: float) -> None:
    """Commit changes until this writer has so many. `pause`: mean seconds between two."""
    rng = random.Random()
    while True:
        try:
            with psycopg.connect(host=host, user="postgres") as db:
                left = rows - count(db, writer)
                while left > 0:
                    left -= change(db, writer, rng)
                    time.sleep(rng.expovariate(1 / pause) if pause else 0)
                return
        except psycopg.Error:
            time.sleep(0.05)


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
