"""The engine of several nodes: pushes are numbered, kept and published in Redis, and read into the rings of each node.

Theory of operation
===================

Every node must give every listener the same pushes in the same order, without a hole and without a repeat. It must do so
although pushes arrive on all nodes, listeners come and go, connections break, and Redis itself can lose data. This page
explains how. The names are those of `AccountState`.

One order
---------
`append.lua` gives a push its position, keeps it and publishes it, in one atomic step. Positions of an account grow over
all its identifiers. Redis runs one script at a time, and it delivers messages to a subscription in the order in which they
were published. So a node hears the pushes of an account in the order of their positions. If it has heard position 30 then
it has heard everything below 30 that it is subscribed to, on all identifiers. One number, `last_heard`, says how far.

Pushes of one account that are in flight together share a script, and those of one identifier share a message:
`pushes.py` explains it. The script gives them positions one above the other, and publishes them in this order. Whatever
else is published for the account comes before or after all of them.

A node has two connections. `commands` carries scripts and their answers, `subscription` carries what is published. Each is
in order by itself. **Nothing is known about the order between the two.** An answer can come before or after a message that
Redis sent first. Most of this package exists because of that.

The seam: joining what is read to what is heard
-----------------------------------------------
A listener joins `chat` with a cursor of 10. The node does not follow `chat` yet. It must read the kept pushes above 10 and
hear the later ones. If it reads first and subscribes then, a push in between is missed. So it subscribes first, and reads
then. Now the same push can be read and heard, and the node must know where reading ends and hearing begins.

Comparing positions is not enough. The listener must join at a moment when all rings of the account are complete up to the
same position, because it has one cursor for all of them. The script that reads makes that moment visible. In the same
atomic step it answers with the pushes and publishes a **watermark** to the node's own channel: "here I read, and the
position was 30". That message takes its place among the messages of the subscription. Before it lies everything that was
read, behind it everything that was not:

    Redis           push 20 ... push 25 .. [ read.lua: answers 20, 25; publishes watermark 30 ] .. push 31 .. push 33
                                                    |                              |
    commands        ................................|............ answer {20, 25}  |
    subscription    subscribed .. push 25 .....................................watermark 30 .. push 31 .. push 33
                                  |                                            ^
                                  also in the answer: taken once               the seam

The answer and the watermark arrive in any order. What the node does:

1. The watermark comes first: the node holds back all later messages of this account (`held`) until the answer is there.
   Then the rings get the answer, the listener joins at position 30, and the held messages are handled.
2. The answer comes first: it is kept in the batch. When the watermark is heard, the rings get the answer, the listener
   joins at position 30, and the next message is push 31.

In both cases the listener joins when exactly the pushes up to 30 are in the rings. Listeners that come during the round
trip share the next batch (`ReadBatch`), which has at most 50 of them. If their joins take long, they go on in the next turns of
the event loop, and messages are held back until all have joined (`JoinSlices`).
Many identifiers are read in several scripts, and the watermark of the last one is the seam. Pushes that come between two
of these scripts were heard by then, because they lie before the seam.

Secret pushes are read on demand
--------------------------------
Public and secret pushes are in lists of their own. A read has the secret pushes of an identifier only if a listener waits
who may see them. Otherwise a join without a key would take longer where there are many, and its time would tell of them. The
ring then has the public pushes from the position asked for, and the secret ones from the seam on. When somebody comes with
a key, the ring is deepened: the older secret pushes are read, and put before the others. A refill reads both kinds.

Watermarks keep time
--------------------
The same script, reading nothing, runs once a second for each followed account: the **beat**. Its watermark says "you have
heard everything up to 30, and no later push gets 30 or less". Heartbeats to listeners carry this position, so that the
cursor of a quiet listener does not grow old. The watermark cannot overtake a push because it comes over the same
subscription. A node that hears nothing for three beats takes its subscription for lost.

Refills: the session was lost
-----------------------------
The session is lost when a connection closes, when an answer takes longer than 1.5 s, or when three beats are missed. It
is also lost when a push names a push before it that this node has not heard. All connections are closed, and new ones are
made to the same Redis. The node then subscribes to everything that it follows and reads each account from `last_heard`
on, and a little before ("A Redis that went back in time"):

    heard before     push 20, push 25                              last_heard = 25
    missed           push 27 (chat), push 28 (news)
    subscribe        .. push 31 (chat) ............. watermark 33 ........ push 34 (chat)
    read chat > 25   .............. 27, 31
    read news > 25   .............................. 28; this script published watermark 33, the seam
    handed on        27, 28, 31 in one order over all rings, then watermark 33, then push 34

Nothing of the account goes to listeners before the seam. Handing on chat's 27 and 31 as soon as they are read would be an
error: a listener on both identifiers would get 28 after 31, below its cursor, and would never see it.

When all accounts are complete again the session is ready. Pushes and joins are refused until then. Listeners stay connected
and notice nothing, unless Redis dropped pushes meanwhile that they had not got. Those raise a ring's floor, and a cursor
below it is told a gap.

An emptied Redis
----------------
Redis can lose everything: FLUSHALL, a restart without persistence. Listeners must then be told a gap, because pushes that
they had not got are lost. Noticing it must not depend on luck, so Redis and the nodes both keep a position:

- `began`, in Redis, is the beginning of the account's memory. Pushes up to it may be lost. It is published with each push
  and each watermark, so that every node learns it in its place in the order.
- `last_known`, in each node, is the position of the last push that the node knows of. The node sends it with each script.
  A Redis whose last position is lower has lost that push. It sets `began` to its present position.

    node             push 20 heard: last_known = 20
    Redis            last = 20, began = 1    FLUSHALL    nothing
    any script       "I know of push 20"  ->  last is missing: the next position is 50, began = 49
    every node       hears began 49 > 1: all its rings lose what is at or below 49
    listeners        cursors below 49 are told a gap, once, and go on from there

The next position is above `highest`, which the node also sends. Positions grow even if the new Redis has a clock that is
behind. Then no listener's cursor is above the pushes to come.

A Redis that went back in time
------------------------------
After a failover the promoted replica may lack the last pushes. This is harder to notice, because others may have pushed to
it since, and its last position is then high enough:

    old primary      push 20, push 25 (heard by our node: last_known = 25)     fails
    new primary      push 20 ........................... push 60 by another node: last = 60
    our node         reconnects: "I know of push 25 on chat"

So when a node catches up it also names the identifier of the push at `last_known`, and `read.lua` looks for that very push
(`is_unknown`). If it is neither kept nor dropped there, the memory begins again, as above. This is done after a lost session
only, because a failover always closes the connections.

The other sign is a push that comes *below* what was heard. A new primary whose clock is behind can number one so. The node
remembers it (`went_back`) and resets the session. Then it says that it knows of a push above all others (`ABOVE_ALL`), which
no Redis has.

A node can also stay with an old primary after the failover: both are cut off from the others, or both stood still. It hears
watermarks there, and no push. They rise above the pushes of the new primary:

    old primary      push 20 ..... watermark 40 ..... watermark 60 (heard by our node: last_heard = 60)
    new primary      push 20 ............... push 50 by another node
    our node         reconnects: reads from push 20 on, and finds 50, which is below 60

So a node that reads an account over new connections does not read from `last_heard` on, but from the last push of each ring on.
It finds nothing more than it would otherwise, or a push that lies below what it was told it had heard
(`ReadBatch.passed_over`). Listeners were told so too, and their cursors are above it. So the node sets `went_back`, as above,
and reads the account once more.

Replicas: `redis_wait`
----------------------
With `redis_wait = 1` a push is published, and its publisher answered, when one replica has it. Without that, listeners can
have a push that a failover loses, and get it twice when the publisher sends it again. The push is kept at once, but instead
of being published it goes to the list of **unconfirmed** pushes (the key ends in `:unsaid`):

    publisher        POST ........................................................................ 200
    append.lua       position 40, kept, put on the list
    WAIT 1 500       ............ replica has it
    publish_confirmed.lua                         publishes the list up to 40, in order
    listeners                                         push 40

WAIT covers the writes that came before it on its own connection. That is why pushes have a connection of their own then,
and why a script that writes nothing else writes the field `again`. Nothing else is done on a connection during a WAIT, so
there is one WAIT at a time for all pushes that came meanwhile (`ReplicaWait`).

Reading must respect the list. A push that is on it is in the kept pushes already, and must not be read, or it would be
heard a second time. So `read.lua` reads up to the first unconfirmed push, and says a watermark right below it:

    kept             20, 25, 40, 41          unconfirmed 40, 41
    read.lua         answers 20, 25, watermark 39; the account's position is 45

If the watermark stays below the position then the node that pushed 40 may have died before its WAIT was answered. Each beat
looks for that, and the node confirms the list itself. If the replicas stay away, the publishers get 503 after the WAIT, and
no more than 10,000 pushes gather on the list.

A replica can be promoted that has the list as it was before the pushes were taken off. Then the list holds pushes that this
node has heard already. The node sends `last_heard` with each read, and the script publishes the list up to there at once.

Errors of one account
---------------------
Not every error reply says that Redis is away. One that is about the keys of one account, such as WRONGTYPE, must not reset
the session, because all other accounts would be refused too. `error_replies.py` is the table of which is which. Then

- a push or a join of that account is refused, and the log says why;
- a beat that fails leaves the account without its watermark, while its pushes are still heard;
- an account that cannot be read when the node catches up is **set aside**. The session becomes ready without it. What is
  published for it is dropped, and with each beat the node tries again to read it from `last_heard` on. That is a refill
  of one account.

A script that fails undoes nothing. It may have kept a push without publishing it. Once the key is mended, the next push on
that identifier names it as the one before, and the node has not heard it: the account is refilled alone.

Disconnecting
-------------
A back end can end the connections of a visitor, and revoke the visitor's tokens. `disconnects.py` explains how all nodes
learn of it, and why a revoked token joins nowhere.

The first contact
-----------------
A node opens its ports before it has reached Redis. Requests that come before wait up to 3 s (`FirstContact`). Later, when
Redis was there and is lost, they are refused at once.
"""
