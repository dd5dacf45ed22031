"""A node's own rings, which are filled from Redis, grow old as well."""

import attrs

from cometify.core.position import RETENTION
from cometify.core.push import Push
from cometify.core.retention import MOST_STEPS
from tests.contract.support import API_KEY
from tests.engine.redis.nodes import joined


def kept(world):
    ring = world.server.engine.peek((API_KEY, "chat"))
    return None if ring is None else len(ring)


def test_quiet_channel_drops_its_pushes_after_ten_minutes(nodes):
    """Not only when the next push comes: that may be never, or would have to drop all of them in one step."""
    first, second = nodes
    joined(first.stream("identifiers=chat"))
    for number in range(5):
        second.pushed("chat", f"{number}")
    nodes.settle()
    nodes.advance(595, step=2.5)
    assert kept(first) == 5
    nodes.advance(15, step=2.5)
    assert kept(first) == 0


def test_burst_that_grew_old_is_dropped_in_slices(nodes):
    engine = nodes[0].server.engine
    joined(nodes[0].stream("identifiers=chat"))
    state, ring = engine._states[API_KEY], engine.peek((API_KEY, "chat"))
    account = attrs.evolve(state.account, buffer_pushes=10**6)
    begin = state.watermark - 2 * RETENTION
    for position in range(begin, begin + 3 * MOST_STEPS):
        state.account_rings.put(ring, Push("chat", None, False, position, b"{}"), account)
    left = []
    while engine.expire() and len(left) < 9:
        left.append(len(ring))
    assert left == [2 * MOST_STEPS, MOST_STEPS]
    assert len(ring) == 0
