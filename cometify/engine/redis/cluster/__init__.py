"""The engine of a Redis Cluster or Valkey Cluster: each master keeps the accounts whose slots it has.

Theory of operation
===================

Read the theory of operation in `cometify.engine.redis` first. This page explains what a cluster adds.

    ClusterEngine    sends each call to the engine of the master that has the slot of the account
    ShardEngine      a `RedisEngine` for each master: a session, a subscription and the rings of its accounts
    MapWatch         reads the map of the slots (CLUSTER SLOTS)

One account is at one master
----------------------------
All keys and channels of an account have the hash tag `{API_KEY}`, so they are in one slot, and a slot has one master. Its
scripts run there, one after the other, and its pushes are published there with SPUBLISH. So whatever holds for an account at
one Redis holds here: one order, the seam, watermarks, refills. A master that fails takes its accounts with it, and no others.

The watermarks of an account come over a channel with its tag as well, because a script may publish in its own slot alone, and
because a plain PUBLISH goes to all nodes of the cluster. All other channels are plain. Their names begin with the id of the
master, so each message is heard once: see `channels.py`.

A slot that moves
-----------------
An operator moves a slot key by key, and its keys are at two masters meanwhile. A script needs many keys of its account, most
of which it cannot name before it runs. If it ran then, it could fail after it has kept a push. So each script declares,
beside the name of the account, a key that never exists. Redis looks for declared keys before it runs a script, finds one of
them missing in a slot that moves, and refuses with TRYAGAIN or ASK. Nothing was done then:

    source        append.lua .......... MIGRATING .. keys go .. TRYAGAIN .. ASK .. [ the slot has gone ] .. MOVED
    target        ..................... IMPORTING ................................ [ it is here ] ......... append.lua
    node          200 ................................ waits, at most a second ... reads the map ......... 200

A script that was redirected is tried again for a second, at the master that has the slot by then (`redirector.py`). Those of
its account that come meanwhile wait behind it, so pushes keep their order. A publisher whose second is over gets 503, and
nothing was pushed. Valkey 9 and Redis 8.4 can move a slot in one step, without that state.

The account moves, and its listeners stay
-----------------------------------------
A node learns from MOVED, or from the end of its subscription (Redis ends those of a slot that goes), that its map is stale.
The account hears nothing from then on. So it is set aside, and is subscribed to and read again a second later. The map may
say by then that nothing has changed, because the slot has come back.

The node reads the map, and hands each account whose master is another one from engine to engine (`Handover`): its rings, the
positions up to which they were heard, and the slots of its listeners. The new engine treats the account as after a lost
session: it subscribes first, reads from `last_heard` on, and nothing goes to listeners before the seam. So

- if the keys have moved along, listeners notice nothing,
- if the slot came without its keys, the master lacks the push at `last_known`. The memory begins again, and listeners are told
  a gap, as with an emptied Redis.

Pushes that the old engine has not got answers for go on there, and are redirected. Later ones are held back meanwhile
(`HeldPushes`), so that they keep their order.

A listener that joins in this moment is refused with `engine_unavailable`, and comes again.

An account that this node has pushed to, and nobody follows here, is read too, so that a lost push at `last_known` is
noticed. Its channels are not subscribed to, because there can be many such accounts. Its seam is not heard, and not waited for.

A master that dies
------------------
Nothing else happens in a failover: the slots have another master. Until the map says so, the engine of the old master is
away, and its accounts are refused. The map is read four times a second meanwhile. A node of the cluster that is cut off from
the others says that the cluster is down, and its map is not believed. The replica may lack the last pushes. This is noticed
as by Sentinel's failovers ("A Redis that went back in time"), and prevented by `redis_wait`.

A master that was frozen runs the scripts that lie in its sockets when it thaws, and then learns that it is a replica. Their
writes are lost with its data, and their publishers were told so. But Redis sends messages on channels of a slot to all of a
shard, and so to the nodes that are subscribed at the new master:

    old master       push 20 .. frozen ...................... thaws: [ read.lua: watermark 80 ] .. is a replica
    new master       ................ is the master .. push 60, waits for a replica .................... publishes 60
    node             20 ............. subscribes here ...................... hears 80? .................. 60, below 80

So the names of these channels have the id of the master (`channels.py`). It is in the second key of each script, the one that
never exists, and the connection over which the script is sent puts it there.

A request that comes before the map was read waits for the map and then for its master, three seconds in all (`FirstContact`).
For a master that is new later, as after a failover, it waits half a second.

A slot that has no master is refused with CLUSTERDOWN, and no other slot is, if `cluster-require-full-coverage` is `no`. Its
accounts stay at some master, which refuses them one by one. They go on when the slot has a master again.

With `redis_wait`, a push that is redirected is not tried elsewhere, because the WAIT behind it is for the replicas of the
master that it was sent to. Its publisher gets 503. The same slot can go after the WAIT, before the push is published. Then the
push is kept, the nodes publish it with a beat, and the 503 says that it may have been pushed.

Not of one account
------------------
The usage of all accounts, accounts that are kept in Redis, the questions of operators and the levelling of listeners are at
the master of one slot, that of the tag `{.}`: see `home.py` and `home_connector.py`.
"""
