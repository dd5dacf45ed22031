"""The map that forgets after ten minutes, against a list that never forgets."""

import tracemalloc

import hypothesis.strategies as st
from hypothesis import given

from cometify.core.position import SECOND
from cometify.core.ttl_map import MOST_AT_ONCE, TTL, TTLMap

steps = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, 1, SECOND, TTL // 2, TTL - 1, TTL])), max_size=40)


@given(steps, st.sampled_from([None, 1, 2, 3]))
def test_key_is_remembered_ten_minutes_among_the_latest(steps, most):
    ttl_map, put, now = TTLMap(), [], 1_764_000_000 * SECOND
    for number, (key, passed) in enumerate(steps):
        now += passed
        put = [(when, *rest) for when, *rest in put if when > now - TTL]
        expected = {key: value for _when, key, value in put}
        assert ttl_map.first(key, number, now, most) == expected.get(key)
        if key not in expected:
            put.append((now, key, number))
            put = put if most is None else put[-most:]
        assert len(ttl_map) == len(put)
        assert {key: ttl_map.get(key, now) for key in range(5)} == {
            **dict.fromkeys(range(5)),
            **{key: value for _when, key, value in put},
        }


@given(steps, st.integers(1, 4), st.integers(1, 4))
def test_wait_is_over_when_there_is_room(steps, count, more):
    ttl_map, put, now, most = TTLMap(), [], 1_764_000_000 * SECOND, count + more
    for key, (_key, passed) in enumerate(steps):
        now += passed
        put = [when for when in put if when > now - TTL]
        wait = ttl_map.wait(count, most, now)
        over = len(put) + count - most
        assert wait == (0 if over <= 0 else put[over - 1] + TTL - now)
        if not ttl_map.wait(1, most, now):
            ttl_map.first(key, key, now)
            put.append(now)


def test_wait_forgets_few_of_a_burst_that_is_due():
    ttl_map = filled(1000)
    assert [ttl_map.wait(1, 800, TTL), len(ttl_map)] == [1, 900]
    assert [ttl_map.wait(1, 800, TTL), len(ttl_map)] == [1, 800]
    assert [ttl_map.wait(1, 800, TTL), len(ttl_map)] == [0, 700]


def test_ten_minutes_are_ten_minutes():
    ttl_map = TTLMap()
    assert ttl_map.first("key", 1, 0) is None
    assert ttl_map.get("key", 600 * SECOND - 1) == 1
    assert ttl_map.get("key", 600 * SECOND) is None
    assert len(ttl_map) == 0


def filled(count):
    ttl_map = TTLMap()
    for number in range(count):
        ttl_map.first(number, number, 0)
    return ttl_map


def test_forget_forgets_what_is_due_and_so_many_at_once():
    ttl_map = filled(1000)
    ttl_map.first("later", 1, 1)
    assert ttl_map.forget(TTL - 1, 10**6) == 0
    assert [ttl_map.forget(TTL, 600), ttl_map.forget(TTL, 600), ttl_map.forget(TTL, 600)] == [600, 400, 0]
    assert ttl_map.get("later", TTL) == 1
    assert ttl_map.forget(TTL + 1, 600) == 1
    assert ttl_map.first(5, "again", TTL + 1) is None


def test_lookup_pays_for_few_of_a_burst_that_is_due():
    ttl_map, sizes = filled(1000), []
    for _ in range(3):
        ttl_map.get("key", TTL)
        sizes.append(len(ttl_map))
        ttl_map.first("key", 1, TTL)
        sizes.append(len(ttl_map))
    dropped = 1000 - MOST_AT_ONCE
    assert sizes == [dropped, *[dropped - MOST_AT_ONCE * call + 1 for call in range(1, 6)]]


def test_lowered_bound_is_reached_in_bounded_steps():
    ttl_map = filled(1000)
    sizes = []
    for number in range(1000, 1012):
        ttl_map.first(number, number, 0, 5)
        sizes.append(len(ttl_map))
    assert sizes == [*range(901, 10, -99), 10, 5, 5]


def test_empty_map_gives_its_memory_back():
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        ttl_map = filled(20_000)
        assert tracemalloc.get_traced_memory()[0] - before > 10**6
        ttl_map.forget(TTL, 10**6)
        assert tracemalloc.get_traced_memory()[0] - before < 10**5
    finally:
        tracemalloc.stop()
