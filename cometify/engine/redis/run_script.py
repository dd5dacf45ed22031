"""The call by which parts of the engine run a script."""

from typing import Protocol

from twisted.internet.defer import Deferred

from cometify.engine.redis.connection import Answer, Argument
from cometify.engine.redis.scripts import Script


class RunScript(Protocol):
    """Runs a script on an account. Returns None while Redis is away."""

    def __call__(self, script: Script[Answer], api_key: str, *args: Argument) -> Deferred[Answer] | None: ...
