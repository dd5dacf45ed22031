"""A node's own rings, which are filled from Redis, grow old as well."""

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
