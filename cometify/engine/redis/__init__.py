"""The engine of several nodes: pushes are numbered, kept and published in Redis, and read into the rings of each node that
follows their channel.

What a node hears comes over one subscription, and Redis publishes an account's pushes in the order of their positions: so
up to what was heard last, all rings of the account are whole. Where something must be read besides (a channel that is new
here, an older cursor, a connection that was lost), the script that reads it also says its position over the subscription:
that position is the seam between what was read and what is heard.
"""

from cometify.engine.redis.engine import RedisEngine

__all__ = ["RedisEngine"]
