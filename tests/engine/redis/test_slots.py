"""Reports of slots: each step of the event loop tells Redis of a bounded number, as they are by then."""

import pytest
from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.engine.redis.scripts import FREE_SLOT, TAKE_SLOT
from cometify.engine.redis.slots import REPORTED, RedisSlots
from tests.delivery.loop import Loop

FIRST, SECOND = Account("1", ("secret",)), Account("2", ("secret",))


class Redis:
    """The end of the scripts: it remembers what was run, and answers slots that are taken with a time."""

    def __init__(self):
        self.loop = Loop()
        self.ran = []
        self.is_away = False
        self.slots = RedisSlots(self._run, lambda: None, "node", "cometify:0:node:", self.loop.later)

    def _run(self, script, api_key, address, listener, *_more):
        if self.is_away:
            return None
        self.ran.append((script, api_key, listener))
        answered = Deferred()
        answered.callback(b"1" if script is TAKE_SLOT else None)
        return answered

    def take(self, account, *numbers):
        for number in numbers:
            self.slots.take((account.api_key, "10.0.0.1"), account, f"listener-{number}")
        self.ran.clear()

    def leave(self, account, number):
        self.slots.leave((account.api_key, "10.0.0.1"), f"listener-{number}")

    def steps(self):
        """Turn until nothing is due. Returns how many slots each step has told of, with those of the first."""
        steps = [len(self.ran)]
        while self.loop.due:
            before = len(self.ran)
            self.loop.turn()
            steps.append(len(self.ran) - before)
        return steps

    @property
    def reported(self):
        return [int(listener.split("-")[1]) for script, _key, listener in self.ran if script is TAKE_SLOT]

    @property
    def freed(self):
        return [int(listener.split("-")[1]) for script, _key, listener in self.ran if script is FREE_SLOT]


@pytest.fixture
def redis():
    return Redis()


def test_slots_are_reported_in_bounded_steps(redis):
    many = 2 * REPORTED + 1
    redis.take(FIRST, *range(many))
    redis.slots.report()
    assert redis.steps() == [REPORTED, REPORTED, 1]
    assert redis.reported == list(range(many))


def test_slots_given_up_while_redis_was_away_are_freed_in_the_steps(redis):
    many = REPORTED + 3
    redis.take(FIRST, *range(many))
    redis.is_away = True
    for number in range(many):
        redis.leave(FIRST, number)
    redis.is_away = False
    redis.slots.report()
    assert redis.steps() == [REPORTED, 3]
    assert (sorted(redis.freed), redis.reported) == (list(range(many)), [])
    redis.ran.clear()
    redis.slots.report()
    redis.steps()
    assert redis.ran == [], "each is freed once"


def test_slot_given_up_before_its_step_is_not_reported(redis):
    redis.take(FIRST, *range(REPORTED + 2))
    redis.slots.report()
    redis.leave(FIRST, REPORTED)
    redis.ran.clear()
    redis.steps()
    assert redis.reported == [REPORTED + 1]


def test_emptied_account_reports_its_own_slots(redis):
    redis.take(FIRST, 1, 2)
    redis.take(SECOND, 3, 4)
    redis.slots.report(SECOND.api_key)
    assert redis.reported == [3, 4]


@pytest.mark.parametrize("again", [None, FIRST.api_key])
def test_report_asked_for_during_a_report_follows_it(redis, again):
    """Redis may have forgotten the slots that were reported already."""
    many = REPORTED + 1
    redis.take(FIRST, *range(many))
    redis.slots.report()
    for _ in range(5):
        redis.slots.report(again)
    redis.steps()
    assert redis.reported == [*range(many)] * 2
