"""Asks Redis for the positions of accounts, for `IEngine.position`.

Anybody may ask, so a flood of requests must cost Redis little. For each account one script runs at a time. Requests that
come meanwhile wait for the next one and share its answer. Between an answer and the next script there is a pause.

The answer is the watermark and not the newest position. A push that still waits for replicas lies above the watermark, and
no node has told its listeners of a position that high.
"""

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cometify.engine.redis import unavailable
from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.reader import Reader
from cometify.engine.redis.scripts import READ, ReadAnswer
from cometify.engine.redis.session import RedisSession
from cometify.runtime.reactor import CallLater

PAUSE = 0.01
"""Seconds between an answer and the next script of the same account."""
MOST_ANSWERS = 50
"""Requests that are answered in one turn of the event loop, at about 20 us each."""

Refuse = Callable[[Failure, str, str], Failure]


class PositionQuestions:
    """`refuse(failure, api_key, script)`: turns an error of a script into a refusal."""

    def __init__(self, session: RedisSession, reader: Reader, call_later: CallLater, refuse: Refuse) -> None:
        self._session = session
        self._reader = reader
        self._call_later = call_later
        self._refuse = refuse
        # The requests that wait for the next script, of each account whose script runs or whose pause is not over.
        self._waiting: dict[AccountState, list[Deferred[int]]] = {}

    def ask(self, state: AccountState) -> Deferred[int]:
        """Return the watermark as of now or later. Fails with `Refused` (engine_unavailable)."""
        asked: Deferred[int] = Deferred()
        waiting = self._waiting.get(state)
        if waiting is None:
            self._begin(state, [asked])
        else:
            waiting.append(asked)
        return asked

    def _begin(self, state: AccountState, asked: list[Deferred[int]]) -> None:
        self._waiting[state] = []
        commands = self._session.commands
        if commands is None or not self._session.is_ready:
            self._tell(state, Failure(unavailable.not_followed()), asked)
            return
        answered = self._reader.ask_position(state, commands).addCallback(_watermark)
        answered.addErrback(self._refuse, state.account.api_key, READ.name)
        answered.addBoth(partial(self._tell, state), asked)

    def _tell(self, state: AccountState, result: int | Failure, asked: list[Deferred[int]]) -> None:
        """Answer those who have asked, some of them in each turn. Then pause."""
        for waiting in asked[:MOST_ANSWERS]:
            waiting.callback(result)
        if len(asked) > MOST_ANSWERS:
            self._call_later(0, self._tell, state, result, asked[MOST_ANSWERS:])
        else:
            self._call_later(PAUSE, self._go_on, state)

    def _go_on(self, state: AccountState) -> None:
        waiting = self._waiting.pop(state)
        if waiting:
            self._begin(state, waiting)


def _watermark(answer: ReadAnswer) -> int:
    return int(answer[0])
