"""Reports of slots: each step of the event loop tells Redis of a bounded number, as they are by then."""

import pytest
from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.engine.redis.freed_slots import AT_ONCE
from cometify.engine.redis.scripts import FREE_SLOTS, TAKE_SLOT
from cometify.engine.redis.slots import REPORTED, RedisSlots
from tests.delivery.loop import Loop

FIRST, SECOND = Account("1", ("secret",)), Account("2", ("secret",))


class Redis:
    """The end of the scripts: it remembers what was run, and answers slots that are taken with a time."""

    def __init__(self):
        self.loop = Loop()
        self.ran = []
        self.is_away = self.is_slow = False
        self.unanswered = []
        self.slots = RedisSlots(self._run, lambda: None, "node", "cometify:0:node:", self.loop.later)

    def _run(self, script, api_key, *args):
        if self.is_away:
            return None
        # TAKE_SLOT has one address and listener id, and FREE_SLOTS has them of many slots after the node.
        listeners = args[1:2] if script is TAKE_SLOT else args[2::2]
        self.ran.append((script, api_key, listeners))
        answered = Deferred()
        if self.is_slow:
            self.unanswered.append(answered)
        else:
            answered.callback(b"1" if script is TAKE_SLOT else None)
        return answered

    def take(self, account, *numbers):
        for number in numbers:
            self.slots.take((account.api_key, "10.0.0.1"), account, f"listener-{number}")
        self.ran.clear()

    def leave(self, account, *numbers):
        for number in numbers:
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
        return self._numbers(TAKE_SLOT)

    @property
    def freed(self):
        return self._numbers(FREE_SLOTS)

    def _numbers(self, wanted):
        found = [listener for script, _key, listeners in self.ran if script is wanted for listener in listeners]
        return [int(listener.split("-")[1]) for listener in found]


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
    redis.leave(FIRST, *range(many))
    redis.steps()
    redis.is_away = False
    redis.slots.report()
    redis.steps()
    assert max(len(listeners) for _script, _key, listeners in redis.ran) <= REPORTED
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


def test_slots_given_up_in_one_turn_are_freed_together(redis):
    many = 2 * AT_ONCE + 1
    redis.take(FIRST, *range(many))
    redis.take(SECOND, 1)
    redis.leave(FIRST, *range(many))
    redis.leave(SECOND, 1)
    assert redis.ran == [], "others that leave in this turn are waited for"
    assert redis.steps() == [0, 1, 1, 2]
    assert [len(listeners) for _script, _key, listeners in redis.ran] == [AT_ONCE, AT_ONCE, 1, 1]
    assert [api_key for _script, api_key, _listeners in redis.ran] == [FIRST.api_key] * 3 + [SECOND.api_key]
    assert redis.freed == [*range(many), 1]


def test_slot_that_is_taken_again_in_the_same_turn_is_not_freed(redis):
    redis.take(FIRST, 1, 2)
    redis.leave(FIRST, 1, 2)
    redis.slots.take((FIRST.api_key, "10.0.0.1"), FIRST, "listener-1")
    redis.steps()
    assert [(script, listeners) for script, _key, listeners in redis.ran] == [
        (FREE_SLOTS, ("listener-2",)),  # first, because the address may have no other room
        (TAKE_SLOT, ("listener-1",)),
    ]
    redis.ran.clear()
    redis.slots.report()
    redis.steps()
    assert (redis.reported, redis.freed) == ([1], [])


def test_slot_given_up_twice_is_freed_twice(redis):
    redis.take(FIRST, 1)
    redis.is_slow = True
    redis.leave(FIRST, 1)
    redis.steps()
    redis.slots.take((FIRST.api_key, "10.0.0.1"), FIRST, "listener-1")
    redis.leave(FIRST, 1)
    redis.unanswered.pop(0).callback(None)  # of the first time, while the second is not sent yet
    redis.is_away = True
    redis.steps()
    redis.is_away = redis.is_slow = False
    redis.ran.clear()
    redis.slots.report()
    redis.steps()
    assert redis.freed == [1]


def test_slots_are_freed_before_the_session_ends(redis):
    many = AT_ONCE + 1
    redis.take(FIRST, *range(many))
    redis.leave(FIRST, *range(many))
    redis.slots.free_all()
    assert redis.freed == [*range(many)]
    assert redis.steps() == [2, 0]
