"""Names in order: they equal a sorted set, for every division into parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core import sorted_names
from cometify.core.sorted_names import SortedNames

names = st.text("ab_", min_size=1, max_size=4)


def filled(found):
    index = SortedNames()
    for name in found:
        index.add(name)
    return index


@given(
    st.lists(st.tuples(st.sampled_from(["add", "discard", "ask"]), names, st.integers(1, 9)), max_size=80),
    st.integers(1, 4),
)
def test_names_are_those_of_a_sorted_set(steps, most):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sorted_names, "MOST", most)
        index, plain = SortedNames(), set()
        for step, name, count in steps:
            if step == "ask":
                expected = sorted(one for one in plain if one >= name)[:count]
                assert index.starting_at(name, count) == expected
            elif step == "discard":
                plain.discard(name)
                index.discard(name)
            else:
                plain.add(name)
                index.add(name)
            assert index.starting_at("", 1000) == sorted(plain)


def test_new_name_moves_no_more_than_one_part():
    index = filled([f"n{number:05}" for number in range(20 * sorted_names.MOST)])
    assert max(map(len, index._parts)) <= sorted_names.MOST
    assert len(index._parts) <= 40
    assert index.starting_at("n00700", 3) == ["n00700", "n00701", "n00702"]
    assert index.starting_at("n1", 10**6) == [f"n{number:05}" for number in range(10_000, 20_000)]
