"""The node of a server without Redis, which has no others to ask: see `INodes`."""

from collections.abc import Callable

from twisted.internet.defer import Deferred, execute


class OnlyNode:
    """Answers its own questions."""

    def __init__(self) -> None:
        self._answer: Callable[[str], bytes] = lambda _question: b""

    def answer_with(self, answer: Callable[[str], bytes]) -> None:
        self._answer = answer

    def ask(self, question: str) -> Deferred[list[bytes]]:
        return execute(self._answer, question).addCallback(lambda answer: [answer])
