"""Questions of an operator to all nodes: see `INodes`.

A question and its answers travel as those of `Questions` do. While nobody asks, nothing is sent and nothing is kept in Redis.

    asked     publishes  !n?[number, own channel, question]
    node 1    answers    !n=number answer
    node 2    answers    !n=number answer

An older node takes such a message for the answer to a disconnect that nobody waits for. It ignores the message and does not
answer, and the asking node then goes on after a second.
"""

import json
from collections.abc import Callable
from typing import cast

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.engine.redis import unavailable
from cometify.engine.redis.messages import read_array
from cometify.engine.redis.questions import Questions
from cometify.engine.redis.session import RedisSession
from cometify.runtime.reactor import CallLater

MARK = b"!n"
"""The first bytes of a question or an answer."""
_QUESTION = (str, str, str)
"""The shape of a question: number, own channel, and the question itself."""

log = Logger()


class RedisNodes:
    """`own`: this node's own channel. `everybody`: the channel that all nodes hear."""

    def __init__(self, session: RedisSession, own: bytes, everybody: bytes, call_later: CallLater) -> None:
        self._session = session
        self._own = own
        self._everybody = everybody
        self._questions = Questions(call_later)
        self._answer: Callable[[str], bytes] | None = None

    def answer_with(self, answer: Callable[[str], bytes]) -> None:
        self._answer = answer

    def ask(self, question: str) -> Deferred[list[bytes]]:
        commands = self._session.commands
        if commands is None or not self._session.is_ready:
            return defer.fail(unavailable.not_followed())

        def publish(number: str) -> Deferred[int]:
            text = json.dumps([number, self._own.decode(), question])
            return cast(
                "Deferred[int]", commands.execute(b"PUBLISH", self._everybody, b"%b?%b" % (MARK, text.encode()))
            )

        return self._questions.ask(publish).addErrback(_not_asked)

    def heard(self, text: bytes) -> None:
        """Handle a question of any node, or an answer to a question of this one. `text`: without `MARK`."""
        if not text.startswith(b"?"):
            self._questions.heard(text[1:])
            return
        number, asker, question = read_array(text[1:], _QUESTION)
        commands = self._session.commands
        if commands is None or self._answer is None:
            return  # the asking node does not wait for longer than a second
        try:
            answer = self._answer(question)
        except Exception:  # noqa: BLE001 - a fault here must not reset the session
            log.failure("A question of another node could not be answered")
            return
        told = commands.execute(b"PUBLISH", asker, b"%b=%b %b" % (MARK, number.encode(), answer))
        told.addErrback(lambda _failure: None)


def _not_asked(_failure: Failure) -> Failure:
    return Failure(unavailable.not_followed())
