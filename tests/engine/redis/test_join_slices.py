"""Joins that share a read from Redis: each turn of the event loop has some, as many as there is time for."""

from collections import Counter
from functools import partial

import pytest
from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.join_slices import JoinSlices
from cometify.engine.redis.read_batch import LONGEST, MOST_IDENTIFIERS, ReadBatch
from cometify.engine.redis.revocations import AccountRevocations
from tests.delivery.loop import Loop


class Joins:
    """An account with a batch of joins. `cost`: the seconds that each takes. `joined`: those that have joined, in order."""

    def __init__(self, many, cost):
        self.loop, self.now, self.cost = Loop(), 0.0, cost
        self.calls = Counter()
        self.joined = []
        self.state = AccountState(Account("key", ("secret",)), print, print, print, AccountRevocations(print))
        self.state.reading = self.batch = ReadBatch(1)
        for number in range(many):
            followed = Deferred().addCallback(lambda _rings, number=number: self.joined.append(number))
            self.batch.followers.append((self.plan, (), followed))
        self.slices = JoinSlices(
            lambda seconds, call, *arguments: self.loop.later(seconds, partial(call, *arguments)),
            lambda _state: self.calls.update(["release"]),
            lambda _state: self.calls.update(["begin next"]),
            lambda: self.now,
        )

    def plan(self, _position):
        self.now += self.cost
        return {}


@pytest.mark.parametrize(("cost", "in_a_turn"), [(LONGEST * 3, 1), (LONGEST * 0.6, 2), (LONGEST / 4, 4)])
def test_turn_has_as_many_joins_as_there_is_time_for(cost, in_a_turn):
    joins = Joins(9, cost)
    joins.slices.let_join(joins.state, joins.batch)
    turns = 1
    while joins.state.reading is not None:
        assert len(joins.joined) == turns * in_a_turn
        assert not joins.calls, "messages are held back until all have joined"
        joins.loop.turn()
        assert len(joins.joined) == turns * in_a_turn, "others are served between two slices"
        joins.loop.turn()
        turns += 1
    assert turns == -(-9 // in_a_turn)
    assert joins.joined == list(range(9))
    joins.loop.turns()
    assert joins.calls == {"release": 1, "begin next": 1}


def test_joins_that_are_short_all_go_at_once():
    joins = Joins(50, LONGEST / 100)
    joins.slices.let_join(joins.state, joins.batch)
    assert (len(joins.joined), joins.loop.turns()) == (50, 0)
    assert joins.calls == {"release": 1, "begin next": 1}


def test_next_batch_waits_a_turn_after_a_long_join():
    joins = Joins(1, LONGEST)
    joins.slices.let_join(joins.state, joins.batch)
    assert joins.calls == {"release": 1}
    joins.loop.turn()
    assert joins.calls == {"release": 1}
    joins.loop.turn()
    assert joins.calls == {"release": 1, "begin next": 1}


def test_lost_session_ends_the_slices():
    joins = Joins(3, LONGEST)
    joins.slices.let_join(joins.state, joins.batch)
    assert len(joins.state.give_up()) == 2
    joins.loop.turns()
    assert (joins.joined, joins.calls) == ([0], {})


@pytest.mark.parametrize(("cost", "asked"), [(LONGEST * 3, 1), (LONGEST * 0.6, 2), (0, 9)])
def test_joins_that_take_long_to_be_asked_wait_for_another_batch(cost, asked):
    joins = Joins(9, cost)
    left = joins.batch.ask(7, lambda: joins.now)
    assert (len(joins.batch.followers), len(left)) == (asked, 9 - asked)


def test_joins_of_many_identifiers_wait_for_another_batch():
    names = {f"n{number}": 0 for number in range(MOST_IDENTIFIERS // 2)}
    batch = ReadBatch(1, followers=[(lambda _now: names, (), Deferred())] * 5)
    assert (len(batch.ask(7, lambda: 0.0)), len(batch.followers)) == (3, 2)
