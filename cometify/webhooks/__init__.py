"""Webhooks: an account's back end is told what happens to its listeners.

Theory of operation
===================

The registry calls `Webhooks.occupied` when the first listener of an identifier comes to this node, and `vacated` when the last
one leaves. For an account without a webhook that is a look-up in a dict. Otherwise `NodeChanges` notes the change. Nothing
else is done while a listener joins or a push is made.

Once a second each account with a webhook has its turn. The changes are reported to the engine (`IWebhookEvents`). The engine
knows the changes of all nodes, and makes events of them. Then the engine is asked for events to send. With several nodes one
of them gets any: the one that has the lease.

    node 1    join orders                 turn: reports orders    takes nothing
    node 2    join orders                 turn: reports orders    takes [occupied orders], sends it
    receiver                                                                  200
    node 2                                                                        done: the events are forgotten

A batch that was taken stays in the engine until the receiver has answered. If node 2 dies, then another node gets the lease
after 15 seconds, and the same batch with it. So an event may be sent twice, and is never left out.

A batch that the receiver does not take is sent again after 1, 2, 4 … 60 seconds. After five minutes it is given up. Its
events then count as dropped, which the next batch tells.
"""
