"""`cometify relay`: sends the rows of an outbox in order, each once.

`command.py` has the command, `relay.py` the decisions, `table.py` the rows in a database. docs/outbox.md has the promises.

Theory of operation
===================

One relay owns the outbox, by a lock of its session with the database. Others wait for the lock. The owner repeats:

1. It reads the waiting rows with the lowest ids, up to 100. A transaction that commits late makes lower ids visible late.
   They are then the lowest and go next. No row waits for an id that is not visible.
2. It writes `first_tried_at` into these rows and commits: the *claim*. Rows with an equal `first_tried_at` are one batch for
   ever, because no two batches have the same one.
3. It sends the batch. The Idempotency-Key is that of the row, or for several rows a hash of their keys. So the same batch
   always has the same key and the same body.
4. It deletes the rows. This is committed together with the next claim.

Killed after 2 or 3, the next owner finds the batch by `first_tried_at`, and sends exactly the same request. The server knows
its key, and pushes nothing a second time.

A refusal (4xx) pushes nothing. The rows are released, and the next batch is half as large. A row that is refused alone is a
dead letter. If no answer came, the batch is *in doubt*. It is repeated with a growing pause, and its identifiers wait for it.
A refusal ends the doubt only if the server looks at the key before it refuses so. After any other, the kept pushes are read.

The server remembers a key for ten minutes, so a batch that is in doubt for longer could be pushed twice:

    age of the first try     the relay
    below 4 minutes          repeats the batch
    above                    reads the kept pushes first, and deletes the rows that it finds there. For the others:
      below 9 minutes        repeats the batch: the server still knows the key
      above, and no gap      the rows were not pushed. They are released, and are sent as new ones
      above, and a gap       nobody can tell. The rows are dead letters: `maybe_pushed`

A relay can be stopped (SIGSTOP, a paused machine) between the claim and the request, and wake after another one has taken
over. The lock was lost with the session after a minute, so its next statement fails. But the request goes out first. It is
signed with the time before the claim, and the server refuses a signature that is older than 300 s. Within that time the
server knows the key, because the new owner has sent the same batch since, or has not: then this request is the first.
For the same reason rows are released only 360 s after the last try.
"""
