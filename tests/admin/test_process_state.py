"""The state of a process for the console: several Redis are told as one, with what is to be done."""

import pytest
from twisted.application.service import MultiService

from cometify.admin.process_state import process_state
from cometify.config.settings import Settings
from cometify.interfaces import RedisHealth

UP = RedisHealth("a:1", True, {}, None, 0, None, 50, 100, "noeviction")
AWAY = RedisHealth("b:2", False, {}, None, 0, "Connection was refused")
FULL = RedisHealth("c:3", True, {}, 1, 2, None, 90, 100, "noeviction")
EVICTING = RedisHealth("d:4", True, {}, 2, 2, None, 900, 0, "allkeys-lru")


@pytest.mark.parametrize(
    ("redis", "told"),
    [
        ((UP,), {"up": True, "reason": None, "used": 50, "most": 100, "policy": "noeviction"}),
        ((AWAY,), {"up": False, "reason": "Connection was refused", "used": None}),
        ((UP, AWAY), {"up": False, "reason": "b:2 (Connection was refused)", "used": 50}),
        (
            (UP, FULL, EVICTING),
            {"up": True, "reason": None, "used": 90, "most": 100, "policy": "allkeys-lru", "replicas": 1},
        ),
    ],
)
def test_worst_of_several_redis_is_told(redis, told):
    state = process_state(MultiService(), Settings(()), redis, None)["redis"]
    assert isinstance(state, dict)
    assert {name: state[name] for name in told} == told


def test_no_redis_is_told_as_none():
    assert process_state(MultiService(), Settings(()), (), None)["redis"] is None
