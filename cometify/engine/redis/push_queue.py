"""The queue of an account's pushes that go to Redis in scripts. The top of `pushes.py` explains it."""

import attrs
from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.core.frames import kept_head
from cometify.core.push import Draft, Receipt
from cometify.engine.redis.connection import Argument

MOST_TOGETHER = 64
"""Pushes in one script. A script stops everybody else, and takes about half a millisecond of Redis for so many."""
MOST_BYTES = 64 * 1024
"""Bytes of pushes after which one script takes no further push."""
MOST_SCRIPTS = 2
"""Scripts of one account under way: one runs, and the other is on its way. Where Redis is 5 ms away, that is still room for
25,000 small pushes a second."""
MOST_UNANSWERED = 64 * 2**20
"""Bytes of the pushes of all accounts that wait for an answer of Redis, in a process. One account alone has half of it: 500 of
the longest pushes. In memory a push takes two to five times its bytes, because its text is beside them."""


@attrs.define(eq=False, repr=False)
class WaitingPush:
    """A push that has no answer yet. `arguments`: its part of the arguments of `append.lua`. `size`: their bytes, about."""

    draft: Draft
    arguments: list[Argument]
    size: int
    receipt: Deferred[Receipt] = attrs.field(factory=Deferred)


@attrs.define(eq=False)
class PushQueue:
    """The pushes of an account that wait, and their bytes. `scripts`: those under way. `is_timed`: a timer is set."""

    waiting: list[WaitingPush] = attrs.field(factory=list)
    size: int = 0
    scripts: int = 0
    is_timed: bool = False

    @property
    def may_send(self) -> bool:
        """True if the pushes that wait need not wait for an answer."""
        if self.scripts >= MOST_SCRIPTS:
            return False
        return not self.scripts or len(self.waiting) >= MOST_TOGETHER or self.size >= MOST_BYTES

    def take(self) -> list[WaitingPush]:
        """Take the pushes of the next script out, the oldest first."""
        taken = self.waiting
        if len(taken) > MOST_TOGETHER or self.size > MOST_BYTES:
            size = count = 0
            while count < min(len(taken), MOST_TOGETHER) and size < MOST_BYTES:
                size += taken[count].size
                count += 1
            taken, self.waiting = taken[:count], taken[count:]
            self.size -= size
        else:
            self.waiting, self.size = [], 0
        return taken


def as_arguments(account: Account, draft: Draft) -> WaitingPush:
    """Write a draft as `append.lua` reads it."""
    name, head = draft.identifier.folded, kept_head(draft)
    push_id = b"-" if draft.push_id is None else b"%d" % draft.push_id
    tail = b"%d %b %b" % (draft.secret, push_id, head)
    letters = ""
    arguments: list[Argument] = [name, tail, letters]
    if draft.signature is not None and account.signature_memory > 0:
        letters = "s"
        arguments.append(draft.signature.hex())
        if draft.identifier.spelled != name:
            letters = "si"
            arguments.append(draft.identifier.spelled)
    if draft.nonce is not None:
        letters += "n"
        arguments.append(draft.nonce)
    if draft.cost != 1:
        letters += "c"
        arguments.append(draft.cost)
    if draft.key is not None:
        letters += "kfl"
        arguments += (draft.key, draft.fingerprint.hex(), draft.listeners)
    arguments[2] = letters
    return WaitingPush(draft, arguments, len(tail))
