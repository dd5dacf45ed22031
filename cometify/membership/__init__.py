"""A listener joins, holds a slot, leaves, and polls again. Theory of operation.

The way of a joining, from the bytes of a request to the first write:

1. A transport reads a `ListenRequest` from the query or from a `listen` frame (core/listen_request.py).
2. `Membership.join` checks keys, tokens and the pace of joins (core/join_pace.py), charges the address, and takes a slot
   (slots.py, core/quota.py).
3. With several nodes the slot is claimed: all nodes count it (`ISlots`).
4. `IEngine.follow` gets the rings of the identifiers. It calls `Joining.reach` with its position, and the plan is made for
   that position (joining.py, core/join_plan.py). This is the first call back to a higher room.
5. `Membership._enter` computes the backlog and puts the listener into its view (delivery/registry.py).
6. The heartbeat wheel, the token expiry and the fan-out get the listener. The fan-out writes later, in a slice of its own,
   through `Listener.offer`. This is the second call back to a higher room.

With the memory engine nothing waits, so `join` is done when it returns None. With Redis steps 3 and 4 wait, and `join`
returns a Deferred.

**Slots.** An account bounds the listeners of one address (30 by default). A slot is one of them, and it belongs to a
listener id. The quota counts the slots of this node without asking anybody, so a full address is refused at once. With
several nodes Redis counts as well, because the same address may come through every node. A listener that comes again with
its id takes its old slot over, here or on another node, and the listener that held the slot is ended with `replaced`. A
poller has no connection between two polls, so its slot is kept for it for ten seconds.

**Listening again.** A WebSocket may send a new `listen` frame at any time, which replaces its whole set of identifiers. The
listener leaves its view and enters another one, at the same cursor. Identifiers that it keeps go on where they were, and
gaps that it was told of are not reported again (`Joining.backlog`). It never leaves its slot.

**Leaving while joining.** A peer may go while step 3 or 4 waits. `part` then marks the listener as gone and frees its slot.
The joining ends in `_followed`, which finds the listener gone and drops the rings that nobody else listens to.

**Accounts that change.** A reload (SIGHUP) may remove an account or change its secrets. `AccountChanges` goes through all
listeners in slices (account_changes.py). A joining that waits meanwhile was checked against the old account. Its slot is
updated when its slice comes, so `_followed` sees the difference and checks the rights again. A new `listen` frame brings
the account of its own time, which is never older than the slot's.

**Expired tokens.** At the `exp` of a token its right ends, and the listener enters another view with the rights that are
left (expired_rights.py).

**Revoked tokens.** A back end may disconnect a subject, the `sub` of tokens (disconnects.py). `join` refuses a token whose
subject is known to be revoked, before it takes a slot. With several nodes `_followed` asks again, because the rings come with
the revocations of other nodes. A later revocation finds the listener in the index.

**Polls that come again.** A poll that was answered comes again within milliseconds, with the position of the answer. Most
of the way above would find out the same things as before. So a poll that resumes leaves a `ResumeTicket` (poll_resume.py),
and the next poll enters its old view with it. If a push is owed already, it gets that at once, also from a view that
everybody has left. It must join again when the ticket no longer tells enough:

- the account was changed, or the slot is no longer kept;
- the token has expired or was revoked;
- the position is too old or was never given;
- the listener filters by an internal id, or is owed a gap.
"""
