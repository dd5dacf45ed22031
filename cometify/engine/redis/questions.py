"""Questions that a node asks all nodes, itself too, and their answers.

A question is published on the channel that all nodes hear, and Redis tells how many do. Each answers on the asking node's own
channel. When all have answered, or after `ANSWERS_WITHIN` seconds, the asking node goes on with the answers that have come.
Nothing is published while nobody asks.
"""

import secrets
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from cometify.runtime.reactor import CallLater

ANSWERS_WITHIN = 1.0
"""Seconds to wait for the answers of all nodes."""

T = TypeVar("T")


@attrs.define(eq=False)
class _Question:
    """`answered`: fires with the `answers`. `nodes`: how many hear the question, None: unknown."""

    answered: Deferred[list[bytes]] = attrs.Factory(Deferred)
    answers: list[bytes] = attrs.Factory(list)
    nodes: int | None = None
    timer: IDelayedCall | None = None


class Questions:
    """The questions of this node that wait for answers."""

    def __init__(self, call_later: CallLater) -> None:
        self._call_later = call_later
        self._questions: dict[str, _Question] = {}

    def ask(self, publish: Callable[[str], Deferred[int]]) -> Deferred[list[bytes]]:
        """Ask a question. `publish(number)` publishes it with its number, and fires with the number of nodes that hear it.

        The Deferred fires with the answers. It fails as `publish` does.
        """
        number = secrets.token_hex(8)
        question = self._questions[number] = _Question()
        asked = publish(number).addErrback(partial(self._forget, number))
        return asked.addCallback(self._asked, number, question)

    def _forget(self, number: str, failure: T) -> T:
        del self._questions[number]
        return failure

    def _asked(self, nodes: int, number: str, question: _Question) -> Deferred[list[bytes]]:
        question.nodes = nodes
        question.timer = self._call_later(ANSWERS_WITHIN, self._go_on, number)
        self._go_on_if_whole(number, question)
        return question.answered

    def heard(self, text: bytes) -> None:
        """Take an answer: the number of its question, a space, and the content."""
        sent, _, answer = text.partition(b" ")
        number = sent.decode(errors="replace")
        question = self._questions.get(number)
        if question is not None:
            question.answers.append(answer)
            self._go_on_if_whole(number, question)

    def _go_on_if_whole(self, number: str, question: _Question) -> None:
        if question.timer is not None and question.nodes is not None and len(question.answers) >= question.nodes:
            question.timer.cancel()
            self._go_on(number)

    def _go_on(self, number: str) -> None:
        question = self._questions.pop(number)
        question.answered.callback(question.answers)
