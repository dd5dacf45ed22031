"""The contracts between the layers: the methods that one room offers to another, and their promises.

They are `typing.Protocol` classes and not zope.interface, because they are for this package alone, and mypy checks each
implementation against a Protocol without a declaration.

Units: a position is a number of microseconds of the engine clock (see `cometify.core.position`). An identifier is in lower
case. Everything is called in the reactor's thread, and nothing may block it.
"""

from cometify.interfaces.engine import (
    IAccounts,
    IAnnounce,
    IAppend,
    IDeliveryTrace,
    IDisconnect,
    IEngine,
    ILost,
    ISlots,
    IWebhookEvents,
)
from cometify.interfaces.figures import (
    NO_EVICTION,
    EngineStats,
    RedisHealth,
)
from cometify.interfaces.questions import (
    IListenerCounts,
    INodes,
    IQueries,
    IUsageBook,
)

__all__ = [
    "NO_EVICTION",
    "EngineStats",
    "IAccounts",
    "IAnnounce",
    "IAppend",
    "IDeliveryTrace",
    "IDisconnect",
    "IEngine",
    "IListenerCounts",
    "ILost",
    "INodes",
    "IQueries",
    "ISlots",
    "IUsageBook",
    "IWebhookEvents",
    "RedisHealth",
]
