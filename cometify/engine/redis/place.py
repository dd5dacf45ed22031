"""The parts of an engine that differ between a Redis of its own and a master of a cluster."""

import secrets

import attrs

from cometify.config.redis_url import RedisURL
from cometify.engine.redis.channels import Channels
from cometify.engine.redis.connector import Connector
from cometify.engine.redis.error_replies import AccountErrors
from cometify.engine.redis.spread import Spread
from cometify.engine.redis.spread_record import SpreadRecord
from cometify.engine.redis.subscriber import Subscriber
from cometify.runtime.reactor import Reactor


@attrs.frozen
class RedisPlace:
    """`node`: the name of this node. `subscriber`: the class. `record`: that of the list of Redis, None in a cluster."""

    node: str
    channels: Channels
    connector: Connector
    account_errors: AccountErrors
    subscriber: type[Subscriber]
    record: SpreadRecord | None


def own_place(reactor: Reactor, url: RedisURL, spread: Spread | None) -> RedisPlace:
    """Return the parts for a Redis of its own. `spread`: the list of all Redis, if there may be several."""
    node = secrets.token_hex(8)
    return RedisPlace(
        node,
        Channels(node, f"cometify:{url.database}:"),
        Connector(reactor, url),
        AccountErrors(reactor.seconds),
        Subscriber,
        SpreadRecord(spread or Spread(url.spread_name, (url.spread_name,))),
    )
