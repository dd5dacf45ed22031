"""The turns of the reactor, made by the test."""


class Turns:
    """The end of the reactor's turns: what is due at the end of one turn is done in it, and not what that asks for."""

    def __init__(self):
        self.due = []

    def call_soon(self, _seconds, call):
        self.due.append(call)

    def turn(self):
        calls, self.due = self.due, []
        for call in calls:
            call()

    def settle(self):
        """Turn until nothing is due. The fan-out writes in slices of real time, so a slow machine needs many turns."""
        for _ in range(1000):
            if not self.due:
                return
            self.turn()
        raise AssertionError("something is always due")
