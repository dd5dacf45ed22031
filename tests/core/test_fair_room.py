"""The room that accounts share: how much each gets."""

import hypothesis.strategies as st
from hypothesis import given

from cometify.core.fair_room import FairRoom

MOST = 100
SIZES = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 30)), max_size=200)


def fill(room, api_key):
    """Take one byte after the other. Returns how many there were."""
    taken = 0
    while room.take(api_key, 1):
        taken += 1
    return taken


def test_account_alone_has_half_and_others_find_room():
    room = FairRoom(MOST)
    assert fill(room, "a") == 50
    assert fill(room, "b") == 25
    assert fill(room, "c") == 13


def test_room_that_is_given_back_is_there_again():
    room = FairRoom(MOST)
    for _ in range(3):
        assert fill(room, "a") == 50
        room.leave("a", 20)
        assert fill(room, "a") == 20
        room.leave("a", 50)
    assert fill(room, "b") == 50


@given(SIZES, st.integers(0, 2**32))
def test_room_is_never_exceeded(asked, choices):
    room = FairRoom(MOST)
    held = []
    for number, (api_key, size) in enumerate(asked):
        free = MOST - sum(size for _, size in held)
        own = sum(size for name, size in held if name == api_key)
        assert room.take(api_key, size) == (own + size <= free)
        if own + size <= free:
            held.append((api_key, size))
        if held and choices >> number % 32 & 1:
            room.leave(*held.pop(choices % len(held)))
    assert sum(size for _, size in held) <= MOST


def test_what_takes_nothing_can_leave_at_any_time():
    room = FairRoom(MOST)
    assert room.take("a", 0)
    assert room.take("a", 0)
    room.leave("a", 0)
    room.leave("a", 0)
    assert fill(room, "a") == 50
