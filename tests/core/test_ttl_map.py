"""What is remembered for ten minutes, against a list that never forgets."""

import hypothesis.strategies as st
from hypothesis import given

from cometify.core.position import SECOND
from cometify.core.ttl_map import TTL, TTLMap

steps = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, 1, SECOND, TTL // 2, TTL - 1, TTL])), max_size=40)


@given(steps, st.sampled_from([None, 1, 2, 3]))
def test_a_key_is_remembered_for_ten_minutes_among_the_latest_of_so_many(steps, most):
    recent, put, now = TTLMap(), [], 1_764_000_000 * SECOND
    for number, (key, passed) in enumerate(steps):
        now += passed
        put = [(when, *rest) for when, *rest in put if when > now - TTL]
        expected = {key: value for _when, key, value in put}
        assert recent.first(key, number, now, most) == expected.get(key)
        if key not in expected:
            put.append((now, key, number))
            put = put if most is None else put[-most:]
        assert len(recent) == len(put)
        assert {key: recent.get(key, now) for key in range(5)} == {
            **dict.fromkeys(range(5)),
            **{key: value for _when, key, value in put},
        }


def test_ten_minutes_are_ten_minutes():
    recent = TTLMap()
    assert recent.first("key", 1, 0) is None
    assert recent.get("key", 600 * SECOND - 1) == 1
    assert recent.get("key", 600 * SECOND) is None
    assert len(recent) == 0
