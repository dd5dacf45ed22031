"""An event loop for tests."""

from collections import deque


class Loop:
    """An event loop of which the test makes the turns."""

    def __init__(self):
        self.due = deque()

    def later(self, seconds, function):
        assert seconds == 0
        self.due.append(function)

    def turn(self):
        for _ in range(len(self.due)):
            self.due.popleft()()

    def turns(self):
        """Turn until nothing is due. Returns how many turns there were."""
        for number in range(10_000):
            if not self.due:
                return number
            self.turn()
        raise AssertionError("the work does not end")
