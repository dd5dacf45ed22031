"""A share of the inputs as a process: python -m bench.campaigns.fuzz.player SEED CLOCK FIRST COUNT STEP PORT PATIENT.

Prints its tallies and its faults as JSON. Only this machine can be the target, because the address is fixed.
"""

import heapq
import selectors
import sys
import time
from collections.abc import Iterator
from itertools import count

from bench.campaigns.fuzz.conversation import Conversation
from bench.campaigns.fuzz.inputs import Input, make_input
from bench.campaigns.fuzz.tally import Tally
from bench.rig.server_process import raise_file_limit

AT_ONCE = 100
"""Conversations at once. Those that wait for the server to close are not counted."""
MOST_FAULTS = 20
"""Faults after which a player stops, because the same one would come again and again."""
_PAUSE = 0.01


class Player:
    """Plays inputs on one selector, many at once. `patient`: it plays those that wait for the server to close."""

    def __init__(self, port: int, *, patient: bool) -> None:
        self.tally = Tally()
        self._port = port
        self._patient = patient
        self._selector = selectors.DefaultSelector()
        self._open: dict[Conversation, int] = {}
        self._due: list[tuple[float, int, Conversation]] = []
        self._order = count()

    def play(self, inputs: Iterator[Input]) -> None:
        """Play all inputs, or until too many have failed."""
        more = True
        while self._open or more:
            more = more and self._start_some(inputs)
            for key, events in self._selector.select(_PAUSE):
                self._serve(key.data, events)
            self._look_at_deadlines()
        self._selector.close()

    def _start_some(self, inputs: Iterator[Input]) -> bool:
        """Start conversations up to the limit. Returns False if there are no others."""
        waiting = sum(conversation.is_waiting for conversation in self._open) if len(self._open) >= AT_ONCE else 0
        for _ in range(AT_ONCE + waiting - len(self._open)):
            given = next(inputs, None)
            if given is None or len(self.tally.faults) >= MOST_FAULTS:
                return False
            conversation = Conversation(given, self._port, time.monotonic(), patient=self._patient)
            self._open[conversation] = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.register(conversation.socket, self._open[conversation], conversation)
            self._watch_deadline(conversation)
        return True

    def _watch_deadline(self, conversation: Conversation) -> None:
        heapq.heappush(self._due, (conversation.deadline, next(self._order), conversation))

    def _serve(self, conversation: Conversation, events: int) -> None:
        before = conversation.deadline
        if events & selectors.EVENT_READ:
            conversation.read(time.monotonic())
        if events & selectors.EVENT_WRITE and not conversation.is_over and conversation.wants_to_write:
            conversation.write(time.monotonic())
        self._follow(conversation, before)

    def _follow(self, conversation: Conversation, before: float) -> None:
        """Watch what the conversation waits for now, or forget it."""
        if conversation.is_over:
            self._selector.unregister(conversation.socket)
            del self._open[conversation]
            self.tally.add(conversation)
            return
        if conversation.deadline != before:
            self._watch_deadline(conversation)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if conversation.wants_to_write else 0)
        if events != self._open[conversation]:
            self._open[conversation] = events
            self._selector.modify(conversation.socket, events, conversation)

    def _look_at_deadlines(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            deadline, _, conversation = heapq.heappop(self._due)
            if not conversation.is_over and conversation.deadline == deadline:
                conversation.late(now)
                self._follow(conversation, deadline)


def main(arguments: list[str]) -> int:
    """Play a share of the inputs, and print the tally."""
    seed, clock, first, number, step, port, patient = map(int, arguments)
    raise_file_limit()
    player = Player(port, patient=bool(patient))
    player.play(make_input(seed, n, clock) for n in range(first, first + number, step))
    sys.stdout.write(player.tally.as_json() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
